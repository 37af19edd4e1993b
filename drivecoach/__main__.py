"""`python -m drivecoach`, which is also how `accelerate launch -m drivecoach train RECIPE` starts several processes."""

from drivecoach.cli import main

main()
