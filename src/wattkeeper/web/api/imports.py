"""Import of master data: template, preview, apply."""

from typing import Annotated

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from starlette.responses import Response

from wattkeeper.registry.importing import ExistingRows, ImportPreview, RowAction
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api import schemas
from wattkeeper.web.console.imports import XLSX, template_response
from wattkeeper.web.pages import services_of
from wattkeeper.web.problems import documented
from wattkeeper.web.queries import imports

router = APIRouter(prefix="/import", tags=["import"], dependencies=[needs(Right.REGISTRY_EDIT)])


@router.get(
    "/template",
    summary="The template to fill in",
    response_class=Response,
    responses=documented(422) | {200: {"content": {XLSX: {}}, "description": "An Excel file."}},
)
def get_template(language: Annotated[str, Query(pattern="^(zh|en)$")] = "en") -> Response:
    """An Excel file with headings, an example and the meaning of every column."""
    return template_response(language)


@router.post("/preview", responses=documented(400, 422), summary="What a file would do")
def post_preview(
    request: Request,
    file: Annotated[UploadFile, File()],
    existing: Annotated[ExistingRows, Form()] = ExistingRows.SKIP,
) -> schemas.ImportAnswer:
    """Every error per row and column; nothing is written."""
    upload = imports.checked(file.filename, file.file.read(imports.LARGEST_BYTES + 1), existing)
    return import_answer(imports.preview(services_of(request), upload), applied=False)


@router.post("/apply", responses=documented(400, 422), summary="Import a file, all of it or nothing")
def post_apply(
    request: Request,
    file: Annotated[UploadFile, File()],
    existing: Annotated[ExistingRows, Form()] = ExistingRows.SKIP,
) -> schemas.ImportAnswer:
    """Refused (422) for a single error. A repeat finds its rows there and leaves them, so it is harmless."""
    upload = imports.checked(file.filename, file.file.read(imports.LARGEST_BYTES + 1), existing)
    return import_answer(imports.apply(services_of(request), upload), applied=True)


def import_answer(preview: ImportPreview, *, applied: bool) -> schemas.ImportAnswer:
    """A preview or an import as the API and the command line show it."""
    errors = [schemas.ImportErrorItem.model_validate(error) for error in preview.errors]
    return schemas.ImportAnswer(
        rows=len(preview.rows),
        created=preview.count(RowAction.CREATE),
        updated=preview.count(RowAction.UPDATE),
        skipped=preview.count(RowAction.SKIP),
        ignored=list(preview.ignored),
        errors=errors,
        applied=applied,
    )
