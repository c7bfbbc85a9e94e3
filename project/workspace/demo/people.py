"""Who lives in the demonstration."""

from dataclasses import dataclass

from project.workspace.demo.words import HOME, OUTDOOR, Product


@dataclass(frozen=True)
class DemoPerson:
    email: str
    name: str
    role: str


@dataclass(frozen=True)
class DemoTenant:
    slug: str
    name: str
    sku_prefix: str
    people: tuple[DemoPerson, ...]
    projects: tuple[str, ...]
    products: tuple[Product, ...]


#: Signs in to the admin, and is an admin of every tenant, so that there is something to switch.
OPERATOR = DemoPerson("admin@offload.example", "Robin Castellanos", "admin")

TENANTS = (
    DemoTenant(
        slug="nordlicht",
        name="Nordlicht Outdoor",
        sku_prefix="NL",
        people=(
            DemoPerson("ingrid@nordlicht.example", "Ingrid Solberg", "owner"),
            DemoPerson("tomas@nordlicht.example", "Tomás Ferreira", "member"),
        ),
        projects=(
            "Winter 2026",
            "Summer 2027",
            "Trail & summit",
            "Camp kitchen",
            "Kids' adventures",
            "Last season, marked down",
        ),
        products=OUTDOOR,
    ),
    DemoTenant(
        slug="bramble-finch",
        name="Bramble & Finch",
        sku_prefix="BF",
        people=(
            DemoPerson("amara@bramblefinch.example", "Amara Okafor", "owner"),
            DemoPerson("liam@bramblefinch.example", "Liam O'Connor", "member"),
        ),
        projects=(
            "Kitchen & table",
            "The reading room",
            'Gifts under 25 "quid"',
            "Garden",
            "Workshop",
        ),
        products=HOME,
    ),
)
