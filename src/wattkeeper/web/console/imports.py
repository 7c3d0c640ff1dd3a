"""Import from Excel or CSV: preview, then all or nothing."""

from typing import Annotated, Final

from fastapi import APIRouter, File, Form, Path, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.registry.errors import RegistryError
from wattkeeper.registry.import_columns import COLUMNS, column_of
from wattkeeper.registry.import_rows import PlannedRow
from wattkeeper.registry.import_table import CellError
from wattkeeper.registry.importing import ExistingRows, ImportPreview, RowAction, template
from wattkeeper.security.audit import record
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.words import Notice
from wattkeeper.web.exports import Column, Export, Table, exported
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_code, language_of, render, services_of
from wattkeeper.web.problems import status_of
from wattkeeper.web.queries import imports
from wattkeeper.web.queries.imports import Uploads
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.REGISTRY_EDIT)])
ROWS_SHOWN: Final = 200
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ACTIONS: Final = {
    RowAction.CREATE: ("ok", N_("new")),
    RowAction.UPDATE: ("warn", N_("changed")),
    RowAction.SKIP: ("idle", N_("left as it is")),
}


@router.get("/import", response_class=HTMLResponse)
def import_page(request: Request) -> HTMLResponse:
    """Where to begin: the template and its columns."""
    return _page(request)


@router.get("/import/template")
def import_template(request: Request) -> Response:
    """The template in the visitor's language."""
    return template_response(language_code(request))


def template_response(code: str) -> Response:
    """The template as a download."""
    headers = {"content-disposition": 'attachment; filename="wattkeeper-import.xlsx"'}
    return Response(template("zh" if code == "zh" else "en"), media_type=XLSX, headers=headers)


@router.post("/import/preview", response_class=HTMLResponse)
def import_preview(
    request: Request,
    file: Annotated[UploadFile, File()],
    existing: Annotated[ExistingRows, Form()] = ExistingRows.SKIP,
) -> HTMLResponse:
    """Every row and every error of the file; nothing is written."""
    try:
        upload = imports.checked(file.filename, file.file.read(imports.LARGEST_BYTES + 1), existing)
        preview = imports.preview(services_of(request), upload)
    except RegistryError as error:
        return _page(request, notice=Notice.of(error, language_of(request)), http_status=422)
    token = _uploads(request).keep(upload) if preview.rows or preview.errors else ""
    return _page(request, preview=preview, name=upload.name, token=token)


Token = Annotated[str, Path(max_length=64)]


@exported(router, "/import/preview/{token}/errors")
def errors_export(request: Request, token: Token) -> Export[CellError]:
    """Every wrong cell of a previewed file, for whoever corrects it."""
    say = language_of(request)
    columns: tuple[Column[CellError], ...] = (
        Column(N_("Row"), lambda error: error.row, "number"),
        Column(N_("Column"), lambda error: _heading(error.column, say)),
        Column(N_("Cell"), lambda error: error.value),
        Column(N_("What is wrong"), lambda error: " ".join(filter(None, (error.message, error.hint)))),
    )
    found = imports.preview(services_of(request), _uploads(request).look(token))
    return Export(Table("import-errors", N_("What is wrong"), columns), found.errors, say)


@exported(router, "/import/preview/{token}/rows")
def rows_export(request: Request, token: Token) -> Export[PlannedRow]:
    """Every row of a previewed file, and what becomes of it."""
    say = language_of(request)
    columns: tuple[Column[PlannedRow], ...] = (
        Column(N_("Row"), lambda row: row.number, "number"),
        Column(N_("What happens"), lambda row: say.text(ACTIONS[row.action][1])),
        Column(N_("Meter address"), lambda row: row.address),
        Column(N_("Metering point"), lambda row: row.point_code),
        Column(N_("Account number"), lambda row: row.account_code),
    )
    found = imports.preview(services_of(request), _uploads(request).look(token))
    return Export(Table("import-preview", N_("Preview"), columns), found.rows, say)


@router.post("/import/apply", response_class=HTMLResponse)
def import_apply(request: Request, token: Annotated[str, Form(max_length=64)]) -> HTMLResponse:
    """Write all rows of a previewed file."""
    say = language_of(request)
    upload = _uploads(request).take(token)
    try:
        done = imports.apply(services_of(request), upload)
    except RegistryError as error:
        return _page(request, notice=Notice.of(error, say), http_status=409)
    created, changed = done.count(RowAction.CREATE), done.count(RowAction.UPDATE)
    text = say.text(
        "%(name)s is imported: %(new)s new rows, %(changed)s changed.",
        name=upload.name,
        new=created,
        changed=changed,
    )
    return _page(request, notice=Notice("good", text))


@router.post("/import/site", response_class=HTMLResponse)
def add_first_site(
    request: Request,
    code: Annotated[str, Form(max_length=64)],
    name: Annotated[str, Form(max_length=200)],
    zone: Annotated[str, Form(max_length=64)],
    currency: Annotated[str, Form(max_length=3)],
) -> Response:
    """Add the site that imported meters belong to."""
    services = services_of(request)
    try:
        with services.database.write() as session:
            site = services.registry(session).add_site(code=code, name=name, zone=zone, currency=currency)
            after = {"code": code, "zone": zone, "currency": currency}
            record(
                session,
                "site.create",
                now=services.clock(),
                subject=("site", site.id),
                name=name,
                after=after,
            )
    except RegistryError as error:
        return _page(request, notice=Notice.of(error, language_of(request)), http_status=status_of(error))
    return RedirectResponse("/import", status_code=303)


def _uploads(request: Request) -> Uploads:
    uploads: Uploads = request.app.state.uploads
    return uploads


def _page(
    request: Request,
    *,
    preview: ImportPreview | None = None,
    name: str = "",
    token: str = "",
    notice: Notice | None = None,
    http_status: int = 200,
) -> HTMLResponse:
    say = language_of(request)
    services = services_of(request)
    with services.database.read() as session:
        sites = services.registry(session).sites()
    return render(
        request,
        "import.html",
        http_status=http_status,
        sites=sites,
        columns=COLUMNS,
        preview=preview,
        name=name,
        token=token,
        notice=notice,
        rows=preview.rows[:ROWS_SHOWN] if preview else (),
        heading=lambda heading: _heading(heading, say),
        actions={action: (level, say.text(text)) for action, (level, text) in ACTIONS.items()},
    )


def _heading(heading: str, say: Language) -> str:
    """A column's heading in the visitor's language."""
    column = column_of(heading)
    return say.choose(column.zh, column.en) if column else heading
