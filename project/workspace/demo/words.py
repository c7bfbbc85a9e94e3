"""The words that a shop's items are made of."""

#: Code in the SKU, usual price, product, what its description says, tags.
Product = tuple[str, int, str, str, tuple[str, ...]]

OUTDOOR: tuple[Product, ...] = (
    ("TNT", 289, "two-person tent", "Freestanding, up in six minutes", ("camp", "shelter")),
    ("SLB", 219, "down sleeping bag", "Comfort -4 °C, limit -11 °C", ("camp", "sleep")),
    ("BPK", 139, "hiking backpack", "45 l, with a rain cover in the base pocket", ("hike",)),
    ("STV", 54, "gas stove", "Boils half a litre in 150 seconds", ("camp", "kitchen")),
    ("JKT", 189, "rain jacket", "Three layers, taped seams, two-way zip", ("wear", "rain")),
    ("SCK", 19, "hiking socks", "Padded at heel and toe; sold in pairs", ("wear", "hike")),
    ("LMP", 49, "head lamp", "400 lumen, red light, USB-C", ("light", "electric")),
    ("BTL", 34, "vacuum bottle", "Keeps tea hot for 18 hours", ("kitchen", "hike")),
)
HOME: tuple[Product, ...] = (
    ("MUG", 12, "enamel mug", "350 ml, chips with dignity", ("kitchen", "gift")),
    ("KNF", 79, "chef's knife", "20 cm blade, full tang, wash by hand", ("kitchen", "steel")),
    ("BRD", 45, "bread board", "End grain, oiled, with a juice groove", ("kitchen", "wood")),
    ("TWL", 11, "tea towel", "50 × 70 cm, washes at 60 °C", ("kitchen", "textile")),
    ("LNT", 38, "storm lantern", "Burns 12 hours on one filling", ("light", "garden")),
    ("TRW", 24, "hand trowel", "Forged in one piece, ash handle", ("garden", "steel")),
    ("NTB", 14, "notebook", "A5, 160 pages, lies flat, dotted", ("paper", "gift")),
    ("BLK", 95, "wool blanket", "130 × 200 cm, undyed", ("textile", "gift")),
)
FINISHES = (
    "Classic", "Ultralight", "Recycled", "Heavy-duty", "Compact", "Heritage", "All-season",
    "Everyday", "Limited", "Slim", "Signature", "Hand-finished",
)  # fmt: skip
COLOURS = (
    "moss green", "slate", "rust", "off-white", "midnight blue", "mustard", "charcoal", "natural",
    "signal orange", "heather", "birch", "oxblood",
)  # fmt: skip
NOTES = (
    "Repairs are free for five years.",
    'Customers say: "the only one I\'d buy twice".',
    "Made in small batches, so colours vary.",
    "Ships flat, assembles without tools.",
    "Bestseller 🏆, reorder early.",
    "Care: wipe clean, dry open, store loose.",
)
