"""The words that a shop's items are made of."""

#: Code in the SKU, product, what its description says, tags.
PRODUCTS = (
    ("TNT", "two-person tent", "Freestanding, up in six minutes", ("camp", "shelter")),
    ("SLB", "down sleeping bag", "Comfort -4 °C, limit -11 °C", ("camp", "sleep")),
    ("BPK", "hiking backpack", "45 l, with a rain cover in the base pocket", ("hike",)),
    ("STV", "gas stove", "Boils half a litre in 150 seconds", ("camp", "kitchen")),
    ("JKT", "rain jacket", "Three layers, taped seams, two-way zip", ("wear", "rain")),
    ("SCK", "hiking socks", "Padded at heel and toe; sold in pairs", ("wear", "hike")),
    ("LMP", "head lamp", "400 lumen, red light, USB-C", ("light", "electric")),
    ("BTL", "vacuum bottle", "Keeps tea hot for 18 hours", ("kitchen", "hike")),
    ("MUG", "enamel mug", "350 ml, chips with dignity", ("kitchen", "gift")),
    ("KNF", "chef's knife", "20 cm blade, full tang, wash by hand", ("kitchen", "steel")),
    ("BRD", "bread board", "End grain, oiled, with a juice groove", ("kitchen", "wood")),
    ("TWL", "tea towel", "50 × 70 cm, washes at 60 °C", ("kitchen", "textile")),
    ("LNT", "storm lantern", "Burns 12 hours on one filling", ("light", "garden")),
    ("TRW", "hand trowel", "Forged in one piece, ash handle", ("garden", "steel")),
    ("NTB", "notebook", "A5, 160 pages, lies flat, dotted", ("paper", "gift")),
    ("BLK", "wool blanket", "130 × 200 cm, undyed", ("textile", "gift")),
)
FINISHES = (
    "Classic", "Ultralight", "Recycled", "Heavy-duty", "Compact", "Heritage", "All-season",
    "Everyday", "Expedition", "Pocket", "Merino-lined", "Hand-finished",
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
