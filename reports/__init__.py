"""Reports: tables, charts and galleries as one self-contained page. Reads tables and artefacts; never imports torch."""
