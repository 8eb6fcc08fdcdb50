<qgis version="3.22" styleCategories="Symbology">
  <pipe>
    <provider>
      <resampling enabled="false" zoomedInResamplingMethod="nearestNeighbour" zoomedOutResamplingMethod="nearestNeighbour" maxOversampling="2"/>
    </provider>
    <rasterrenderer type="paletted" band="1" alphaBand="-1" opacity="1" nodataColor="">
      <rasterTransparency/>
      <colorPalette>
        <paletteEntry value="1" label="cloud or shadow: never seen clear" color="#e4576b" alpha="255"/>
        <paletteEntry value="2" label="snow: snow on the ground" color="#8fdcf5" alpha="255"/>
        <paletteEntry value="3" label="water: water" color="#2f80c3" alpha="255"/>
        <paletteEntry value="4" label="land: clear land" color="#b9c98a" alpha="255"/>
      </colorPalette>
    </rasterrenderer>
    <brightnesscontrast brightness="0" contrast="0" gamma="1"/>
    <huesaturation saturation="0" grayscaleMode="0" colorizeOn="0"/>
    <rasterresampler maxOversampling="2"/>
  </pipe>
  <blendMode>0</blendMode>
</qgis>
