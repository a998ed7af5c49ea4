"""`python -m benchmarks.control`."""

from benchmarks.control.run import main

if __name__ == "__main__":
    main()
