"""Bake the one-piece atlas: the whole surface of the reference body as one disc that fills the unit square.

Maps in UV space (DecoMR, Best of Both) want neighbours on the body to be neighbours in the map, and a left-right
symmetric layout. Steps, one module each:

1. ``seams``    MakeHuman's nine texture islands are sewn together into one disc;
2. ``rim``      the disc's boundary goes to a rounded square, along which it may slide;
3. ``stretch``  the energy: how far apart on the body neighbouring texels lie;
4. ``layout``   Tutte's embedding, then Newton's method on that energy; triangles cannot fold at any step;
5. ``report``   what a map of a given size loses, measured with the package's own UV space.

``python -m bake.onepiece_atlas --out onepiece_uv.npz`` (hmrtk installed, from the checkout).
"""
