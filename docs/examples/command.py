"""``vrft_pl greet``: a command of one's own."""


def main(args):
    print("hello", *args)
