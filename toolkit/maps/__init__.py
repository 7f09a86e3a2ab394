"""Maps of the body surface: atlases, the rasteriser, IUV maps in the image, and location and joint maps in UV space."""
