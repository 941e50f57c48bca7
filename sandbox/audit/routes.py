"""`/v1/sandbox/audit`."""

from typing import Any

from fastapi import APIRouter, Request

from sandbox.audit import service, shapes
from sandbox.core.http import PrincipalDep
from sandbox.core.http.answers import answers

router = APIRouter(tags=["sandbox"])


@router.get("/v1/sandbox/audit", summary="Recompute every invariant")
@answers(shapes.Audit)
async def audit(request: Request, _: PrincipalDep) -> dict[str, Any]:
    """Recompute every invariant now; a breach is `"ok": false`, not an error of this call."""
    report = await service.run(request.app.state.audit_checks)
    return report.as_json()
