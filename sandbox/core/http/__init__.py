"""The HTTP kit: who may call what, idempotency, lists, problem details, request ids."""

from sandbox.core.http.auth import KeyLookup, KeyRecord, Principal, PrincipalDep
from sandbox.core.http.doors import DoorsMiddleware
from sandbox.core.http.idempotency import IdempotentRoute, show_once
from sandbox.core.http.limits import LimitsMiddleware
from sandbox.core.http.paging import Page, PageDep, listing
from sandbox.core.http.problems import install, problem, refusal
from sandbox.core.http.request_id import RequestIdMiddleware
from sandbox.core.http.request_log import RequestLogMiddleware

__all__ = [
    "DoorsMiddleware",
    "IdempotentRoute",
    "KeyLookup",
    "KeyRecord",
    "LimitsMiddleware",
    "Page",
    "PageDep",
    "Principal",
    "PrincipalDep",
    "RequestIdMiddleware",
    "RequestLogMiddleware",
    "install",
    "listing",
    "problem",
    "refusal",
    "show_once",
]
