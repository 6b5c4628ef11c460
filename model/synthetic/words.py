"""The vocabulary of the synthetic shop: its categories, their products and their partners."""

from typing import NamedTuple

BRANDS = ("Norvik", "Halden", "Brightleaf", "Corvane", "Tallow & Fig", "Ostro")
FINISHES = ("black", "white", "sand", "forest green", "navy", "rust", "grey", "plum")


class CategoryWords(NamedTuple):
    """One category: prices are in whole euros; carts of ``eager`` categories are often bought.

    ``goes_with`` names the category that shoppers visit next.
    """

    name: str
    nouns: tuple[str, ...]
    price_from: int
    price_to: int
    eager: bool
    goes_with: str


CATEGORIES = (
    CategoryWords(
        "running shoes",
        (
            "trail runner",
            "road runner",
            "racing flat",
            "cushioned trainer",
            "track spike",
        ),
        60,
        180,
        False,
        "sports socks",
    ),
    CategoryWords(
        "sports socks",
        ("ankle sock", "compression sock", "merino sock", "crew sock", "toe sock"),
        6,
        25,
        True,
        "fitness gear",
    ),
    CategoryWords(
        "fitness gear",
        ("yoga mat", "kettlebell", "foam roller", "skipping rope", "resistance band"),
        10,
        90,
        False,
        "water bottles",
    ),
    CategoryWords(
        "water bottles",
        (
            "steel bottle",
            "glass bottle",
            "sports flask",
            "folding bottle",
            "infuser bottle",
        ),
        12,
        45,
        True,
        "backpacks",
    ),
    CategoryWords(
        "backpacks",
        (
            "day pack",
            "laptop backpack",
            "hiking pack",
            "roll-top pack",
            "hydration vest",
        ),
        40,
        160,
        False,
        "tents",
    ),
    CategoryWords(
        "tents",
        (
            "two-person tent",
            "family tent",
            "bivouac tent",
            "tarp shelter",
            "beach tent",
        ),
        70,
        420,
        False,
        "sleeping bags",
    ),
    CategoryWords(
        "sleeping bags",
        ("down bag", "summer bag", "double bag", "camping quilt", "bag liner"),
        35,
        260,
        False,
        "head torches",
    ),
    CategoryWords(
        "head torches",
        (
            "rechargeable torch",
            "trail torch",
            "camp lantern",
            "clip light",
            "bike light",
        ),
        15,
        85,
        True,
        "running shoes",
    ),
    CategoryWords(
        "coffee beans",
        (
            "espresso roast",
            "filter roast",
            "decaf roast",
            "single-origin beans",
            "house blend",
        ),
        8,
        24,
        True,
        "coffee makers",
    ),
    CategoryWords(
        "coffee makers",
        (
            "moka pot",
            "pour-over set",
            "French press",
            "espresso machine",
            "cold brew jug",
        ),
        25,
        380,
        False,
        "mugs",
    ),
    CategoryWords(
        "mugs",
        ("stoneware mug", "travel mug", "espresso cup", "enamel mug", "latte bowl"),
        7,
        32,
        True,
        "kettles",
    ),
    CategoryWords(
        "kettles",
        (
            "gooseneck kettle",
            "electric kettle",
            "stovetop kettle",
            "glass kettle",
            "tea kettle",
        ),
        30,
        140,
        False,
        "coffee beans",
    ),
    CategoryWords(
        "kitchen knives",
        ("chef's knife", "bread knife", "paring knife", "santoku", "boning knife"),
        20,
        190,
        False,
        "cutting boards",
    ),
    CategoryWords(
        "cutting boards",
        (
            "oak board",
            "bamboo board",
            "serving board",
            "carving board",
            "flexible board",
        ),
        12,
        70,
        False,
        "pans",
    ),
    CategoryWords(
        "pans",
        ("frying pan", "cast-iron skillet", "saucepan", "wok", "grill pan"),
        22,
        170,
        False,
        "kitchen knives",
    ),
    CategoryWords(
        "dog food",
        (
            "puppy kibble",
            "grain-free kibble",
            "salmon pouches",
            "dental chews",
            "senior kibble",
        ),
        6,
        60,
        True,
        "dog leads",
    ),
    CategoryWords(
        "dog leads",
        (
            "rope lead",
            "leather lead",
            "reflective harness",
            "long line",
            "puppy collar",
        ),
        10,
        48,
        False,
        "dog food",
    ),
    CategoryWords(
        "headphones",
        (
            "over-ear headphones",
            "wireless earbuds",
            "studio headphones",
            "neckband",
            "earphones",
        ),
        25,
        340,
        False,
        "phone chargers",
    ),
    CategoryWords(
        "phone chargers",
        ("wall charger", "charging pad", "power bank", "car charger", "braided cable"),
        9,
        75,
        True,
        "headphones",
    ),
    CategoryWords(
        "desk lamps",
        ("clamp lamp", "task lamp", "banker's lamp", "light bar", "reading light"),
        24,
        150,
        False,
        "desk chairs",
    ),
    CategoryWords(
        "desk chairs",
        ("mesh chair", "kneeling stool", "saddle stool", "task chair", "visitor chair"),
        80,
        520,
        False,
        "notebooks",
    ),
    CategoryWords(
        "notebooks",
        (
            "dotted notebook",
            "ruled notebook",
            "sketchbook",
            "weekly planner",
            "pocket notebook",
        ),
        5,
        34,
        True,
        "desk lamps",
    ),
    CategoryWords(
        "face creams",
        ("day cream", "night cream", "sun cream", "eye cream", "hydrating gel"),
        9,
        70,
        True,
        "bath towels",
    ),
    CategoryWords(
        "bath towels",
        ("bath sheet", "hand towel", "hammam towel", "waffle towel", "guest towel"),
        8,
        55,
        False,
        "face creams",
    ),
)
