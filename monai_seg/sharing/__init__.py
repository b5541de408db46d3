"""Bundles that go from hand to hand: what a stranger's bundle would run, and whether its files are those sent."""
