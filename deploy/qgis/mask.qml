<qgis version="3.22" styleCategories="Symbology">
  <pipe>
    <provider>
      <resampling enabled="false" zoomedInResamplingMethod="nearestNeighbour" zoomedOutResamplingMethod="nearestNeighbour" maxOversampling="2"/>
    </provider>
    <rasterrenderer type="paletted" band="1" alphaBand="-1" opacity="1" nodataColor="">
      <rasterTransparency/>
      <colorPalette>
        <paletteEntry value="1" label="clear: the ground is seen" color="#7aa65a" alpha="255"/>
        <paletteEntry value="2" label="cloud: opaque or high cloud" color="#ffffff" alpha="255"/>
        <paletteEntry value="3" label="cloud shadow: shadow of a cloud" color="#403c54" alpha="255"/>
        <paletteEntry value="4" label="thin cloud: thin cloud, cirrus or doubtful" color="#c4d0de" alpha="255"/>
        <paletteEntry value="5" label="snow: snow or ice on the ground, seen" color="#78dcf0" alpha="255"/>
        <paletteEntry value="6" label="water: water, seen" color="#2662be" alpha="255"/>
      </colorPalette>
    </rasterrenderer>
    <brightnesscontrast brightness="0" contrast="0" gamma="1"/>
    <huesaturation saturation="0" grayscaleMode="0" colorizeOn="0"/>
    <rasterresampler maxOversampling="2"/>
  </pipe>
  <blendMode>0</blendMode>
</qgis>
