"""``python -m deepstruc_hpc`` is ``deepstruc-hpc``."""

from deepstruc_hpc.cli.app import main

if __name__ == "__main__":
    main()
