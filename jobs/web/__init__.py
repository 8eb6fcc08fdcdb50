"""What the server shows of a workspace: the viewer's page, tiles, series; routers, no application."""
