"""``python -m hmrtk.cli``: the same as the ``hmrtk`` script."""

from hmrtk.cli.main import main

main()
