"""``python -m deepstruc_hpc.cli``: the same as the script ``deepstruc-hpc``."""

from deepstruc_hpc.cli.app import main

main()
