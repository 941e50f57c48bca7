"""The language in which a route's own texts are written."""

from typing import Annotated

from fastapi import Depends, Query, Request

from sandbox.core.texts import LANGUAGES, Language, preferred


def _language(
    request: Request,
    lang: Annotated[
        str | None,
        Query(max_length=16, description=f"{', '.join(LANGUAGES)}; else Accept-Language"),
    ] = None,
) -> Language:
    return preferred(lang, request.headers.get("accept-language"))


LanguageDep = Annotated[Language, Depends(_language)]
"""`?lang=`, else the best of `Accept-Language`, else Kazakh."""
