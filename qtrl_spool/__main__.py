"""``python -m qtrl_spool`` is the command ``qtrl-spool``."""

from qtrl_spool.cli import main

raise SystemExit(main())
