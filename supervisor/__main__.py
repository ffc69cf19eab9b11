"""`python -m supervisor` is `glyphctl`."""

from supervisor.cli import main

raise SystemExit(main())
