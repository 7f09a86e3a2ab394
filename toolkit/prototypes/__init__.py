"""P3DH K-Means (PM-Net §III-C): bodies in, prototypes and labels out.

Read ``kmeans`` first: ``fit_prototypes`` runs one of the five methods; ``lloyd`` is the loop, ``certificate`` the exact
assignment step, ``projection`` what makes it cheap, ``measure`` the distances of every label, ``estimator`` the same in
scikit-learn's manner. ``prototype_set`` and ``labels`` are the two artefacts; ``search`` is the only door to FAISS.
"""
