"""What `fuzz_readers.py` is made of."""
