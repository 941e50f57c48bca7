"""What a merchant may be: categories and districts as data, languages, cut-off times."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from sandbox.core.texts import Language

CATEGORIES: Final = {
    "4111": "Local passenger transport",
    "4121": "Taxis",
    "4814": "Telecommunication services",
    "4900": "Utilities",
    "5311": "Department stores",
    "5411": "Groceries and supermarkets",
    "5541": "Service stations",
    "5651": "Clothing",
    "5732": "Electronics",
    "5812": "Restaurants",
    "5814": "Cafes and fast food",
    "5912": "Pharmacies",
    "5942": "Books",
    "5999": "Other retail",
    "7011": "Hotels",
    "7230": "Hairdressers",
    "7399": "Business services",
    "7832": "Cinemas",
    "7941": "Sport",
    "8011": "Doctors",
    "8220": "Education",
    "8999": "Other services",
    "9311": "Taxes and public fees",
}
"""Codes as card networks write them (ISO 18245); the subset that a pilot city needs."""

DISTRICTS: Final = {
    "gate": "Gate District",
    "golden": "Golden District",
    "growing": "Growing District",
    "green": "Green District",
}
"""The four districts of Alatau city; a merchant elsewhere has none."""

Schedule = Literal["each_business_day", "daily", "on_demand"]
"""Each banking day of the bank calendar, each day of the year, or when somebody asks."""
CutOff = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["18:00"])]
"""A time of day in Asia/Almaty."""


def _known_category(code: str) -> str:
    if code not in CATEGORIES:
        raise ValueError(f"not one of {', '.join(CATEGORIES)}")
    return code


def _each_once(languages: list[Language]) -> list[Language]:
    if len(set(languages)) != len(languages):
        raise ValueError("each language once")
    return languages


Category = Annotated[str, AfterValidator(_known_category), Field(examples=["5814"])]
District = Literal["gate", "golden", "growing", "green"]
Languages = Annotated[list[Language], Field(min_length=1), AfterValidator(_each_once)]
