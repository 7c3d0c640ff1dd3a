"""Import of readings: choose a file, see what it is taken to be and what is wrong with it, change that, take it in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, File, Form, Path, Request, UploadFile
from fastapi.responses import HTMLResponse

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.readings.files.headings import quantity_named
from wattkeeper.readings.files.importing import Broken, Preview
from wattkeeper.readings.files.incoming import WrongCell
from wattkeeper.readings.files.mapping import Mapping, Order, Role
from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.words import Notice
from wattkeeper.web.exports import Column, Export, Table, exported
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of, site_zone
from wattkeeper.web.problems import status_of
from wattkeeper.web.queries import reading_imports
from wattkeeper.web.queries.reading_imports import ReadingUpload, ReadingUploads
from wattkeeper.web.queries.states import N_

router = APIRouter(
    prefix="/import/readings", include_in_schema=False, dependencies=[needs(Right.READINGS_IMPORT)]
)
COLUMNS_SHOWN: Final = 60
ERRORS_SHOWN: Final = 100
ROLES: Final[dict[Role, str]] = {
    Role.TIME: N_("time"),
    Role.CLOCK: N_("time of day"),
    Role.UNTIL: N_("end of the interval"),
    Role.METER: N_("meter or metering point"),
    Role.QUANTITY: N_("quantity"),
    Role.UNIT: N_("unit"),
    Role.VALUE: N_("value"),
    Role.IGNORE: N_("nothing"),
}
ORDERS: Final[dict[Order, str]] = {
    Order.YEAR_FIRST: N_("year first: 2026-11-01"),
    Order.DAY_FIRST: N_("day first: 01.11.2026"),
    Order.MONTH_FIRST: N_("month first: 11/01/2026"),
    Order.EPOCH: N_("seconds since 1970"),
}
PROBLEMS: Final[dict[str, str]] = {
    "torn": N_("This row has another number of cells than the headings."),
    "time": N_("This is no date and time."),
    "gap": N_("This time never was: the clocks went forward over it."),
    "range": N_("This time is not within the years 2000 to 2099."),
    "until": N_("This is no end of an interval: it is no time, or not after the start."),
    "unnamed": N_("Nothing says which meter this is of."),
    "unknown": N_("There is no such meter and no such metering point."),
    "several": N_("Several meters have this address: name the metering point instead."),
    "nowhere": N_("At that time the meter hung at no metering point, or no meter at the point."),
    "quantity": N_("This is no quantity of the catalogue."),
    "unit": N_("This unit does not fit the quantity."),
    "value": N_("This is no number that can be stored."),
    "kind": N_("Only energies have intervals."),
    "type": N_("The file's own type of reading has no quantity in the catalogue."),
}
Token = Annotated[str, Path(max_length=64)]
Texts = Annotated[list[str], Form(max_length=COLUMNS_SHOWN)]


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """A column of the file as the form shows it."""

    place: int
    heading: str
    sample: str
    role: str
    meter: str
    quantity: str
    unit: str


@router.get("", response_class=HTMLResponse)
def readings_page(request: Request) -> HTMLResponse:
    """Where to begin: a file, and what it may be."""
    return _page(request)


@router.post("/preview", response_class=HTMLResponse)
def readings_preview(request: Request, file: Annotated[UploadFile, File()]) -> HTMLResponse:
    """What a chosen file is taken to be; nothing is written."""
    token = _uploads(request).keep(file.filename, file.file)
    return _look(request, token)


@router.post("/{token}/mapping", response_class=HTMLResponse)
def readings_mapping(
    request: Request,
    token: Token,
    *,
    role: Texts = [],  # noqa: B006 (FastAPI copies it)
    meter: Texts = [],  # noqa: B006
    quantity: Texts = [],  # noqa: B006
    unit: Texts = [],  # noqa: B006
    zone: Annotated[str, Form(max_length=64)],
    order: Annotated[Order, Form()],
    decimal: Annotated[str, Form(pattern=r"^[.,]$")],
    all_quantity: Annotated[str, Form(max_length=200)] = "",
    all_unit: Annotated[str, Form(max_length=20)] = "",
) -> HTMLResponse:
    """The same file, with what somebody says of its columns."""
    services = services_of(request)
    upload = _uploads(request).look(token)
    before = reading_imports.guessed(services, upload, zone=site_zone(request).key)
    mapping = (upload.mapping or before.mapping.as_json()) if before.mapping is not None else None
    if mapping is None:
        return _look(request, token)
    columns = [
        {"role": r, "meter": m.strip(), "quantity": quantity_named(q) or q.strip(), "unit": u.strip()}
        for r, m, q, u in zip(role, meter, quantity, unit, strict=False)
    ]
    said = mapping | {
        "columns": [*columns, *mapping["columns"][len(columns) :]],
        "zone": zone,
        "order": order.value,
        "decimal": decimal,
        "quantity": quantity_named(all_quantity) or all_quantity.strip(),
        "unit": all_unit.strip(),
    }
    _uploads(request).say(token, said)
    return _look(request, token)


@router.post("/{token}/apply", response_class=HTMLResponse)
def readings_apply(
    request: Request, token: Token, wrong: Annotated[Broken, Form()] = Broken.REFUSE
) -> HTMLResponse:
    """Take the file in: all of it, or what is right."""
    services, say = services_of(request), language_of(request)
    upload = _uploads(request).look(token)
    try:
        done = reading_imports.take_in(services, upload, zone=site_zone(request).key, broken=wrong)
    except WattkeeperError as error:
        return _look(request, token, notice=Notice.of(error, say), http_status=status_of(error))
    _uploads(request).forget(token)
    text = say.text(
        "%(name)s is imported: %(stored)s values stored, %(known)s known already, %(beside)s kept beside the meter's own.",
        name=upload.name,
        stored=say.number(done.stored.accepted),
        known=say.number(done.stored.repeated),
        beside=say.number(done.stored.outranked),
    )
    return _page(request, notice=Notice("good", text))


@exported(router, "/{token}/errors")
def readings_errors_export(request: Request, token: Token) -> Export[WrongCell]:
    """The wrong cells of a previewed file, for whoever corrects it."""
    say = language_of(request)
    columns: tuple[Column[WrongCell], ...] = (
        Column(N_("Row"), lambda error: error.row, "number"),
        Column(N_("Column"), lambda error: error.column),
        Column(N_("Cell"), lambda error: error.text),
        Column(N_("What is wrong"), lambda error: say.text(PROBLEMS[error.code])),
    )
    upload = _uploads(request).look(token)
    found = reading_imports.look_at(services_of(request), upload, zone=site_zone(request).key)
    return Export(Table("reading-errors", N_("What is wrong"), columns), found.looked.errors, say)


def _look(
    request: Request, token: str, *, notice: Notice | None = None, http_status: int = 200
) -> HTMLResponse:
    """The page of a file: its preview, or what has to be said of its columns first."""
    services, zone = services_of(request), site_zone(request).key
    upload = _uploads(request).look(token)
    try:
        preview = reading_imports.look_at(services, upload, zone=zone)
    except WattkeeperError as error:
        told = notice or Notice.of(error, language_of(request))
        return _page(
            request, notice=told, token=token, preview=_unfinished(request, upload), http_status=http_status
        )
    return _page(request, notice=notice, token=token, preview=preview, complete=True, http_status=http_status)


def _unfinished(request: Request, upload: ReadingUpload) -> Preview | None:
    """The columns of a file that cannot be read yet, with what was said of them; None of what is no table."""
    try:
        found = reading_imports.guessed(services_of(request), upload, zone=site_zone(request).key)
        if upload.mapping is None:
            return found
        return replace(found, mapping=Mapping.from_json(upload.mapping, columns=len(found.headings)))
    except WattkeeperError:
        return None


def _page(
    request: Request,
    *,
    notice: Notice | None = None,
    token: str = "",
    preview: Preview | None = None,
    complete: bool = False,
    http_status: int = 200,
) -> HTMLResponse:
    say = language_of(request)
    return render(
        request,
        "import_readings.html",
        http_status=http_status,
        notice=notice,
        token=token,
        preview=preview,
        complete=complete,
        columns=_columns(preview) if preview is not None else (),
        roles=[(role.value, say.text(text)) for role, text in ROLES.items()],
        orders=[(order.value, say.text(text)) for order, text in ORDERS.items()],
        quantities=_quantities(say),
        problems={code: say.text(text) for code, text in PROBLEMS.items()},
        errors=preview.looked.errors[:ERRORS_SHOWN] if preview is not None else (),
    )


def _columns(preview: Preview) -> Sequence[ColumnLine]:
    if preview.mapping is None:
        return ()
    shown = preview.mapping.columns[:COLUMNS_SHOWN]
    return [
        ColumnLine(
            place,
            preview.headings[place],
            ", ".join([row[place] for row in preview.sample if row[place]][:2]),
            column.role.value,
            column.meter,
            column.quantity,
            column.unit,
        )
        for place, column in enumerate(shown)
    ]


def _quantities(say: Language) -> list[tuple[str, str]]:
    return [(key, say.quantity(key)) for key, entry in QUANTITIES.items() if entry.kind != "moment"]


def _uploads(request: Request) -> ReadingUploads:
    uploads: Any = request.app.state.reading_uploads
    assert isinstance(uploads, ReadingUploads)
    return uploads
