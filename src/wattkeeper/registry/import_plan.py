"""What an import would do: each row of the file against the registry as it is and against the rows before it.

Nothing is written here, so a preview and the import itself follow the same plan; ``importing`` carries it out.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.links.url import LinkUrl
from wattkeeper.registry.errors import BadValue
from wattkeeper.registry.import_rows import ExistingRows, Plan, PlannedRow, RowAction, needed
from wattkeeper.registry.import_table import CellError, Table, TableRow
from wattkeeper.registry.models import (
    Account,
    AccountKind,
    AccountPoint,
    Area,
    AreaKind,
    Customer,
    Installation,
    Link,
    Meter,
    MeteringPoint,
    PointKind,
    Site,
)
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.rules import (
    checked_address,
    checked_code,
    checked_model,
    checked_register,
    checked_shows,
)

_NEVER = datetime.min.replace(tzinfo=UTC)
_FOREVER = datetime.max.replace(tzinfo=UTC)
_Made = TypeVar("_Made")
_NO_REWRITING = "What was is not rewritten by an import: leave the cell empty, or end this installation and begin another."


class Planner:
    """Compares a file with the registry, which it reads once: ten thousand rows are ten queries."""

    def __init__(self, registry: Registry, *, existing: ExistingRows) -> None:
        self._update = existing is ExistingRows.UPDATE
        self._side_of = registry.side_of
        self._plan = Plan()
        self._sites = {site.code: site for site in registry.everything(Site)}
        self._links = {link.code: link for link in registry.everything(Link)}
        self._areas = {(area.site_id, area.code): area for area in registry.everything(Area)}
        self._customers = {customer.code: customer for customer in registry.everything(Customer)}
        self._accounts = {account.code: account for account in registry.everything(Account)}
        codes = {link.id: link.code for link in self._links.values()}
        self._meters = {(m.protocol, m.address, codes[m.link_id]): m for m in registry.everything(Meter)}
        self._points = {point.code: point for point in registry.everything(MeteringPoint)}
        # By time, so that of several the last one stays: only it can be in the way of what begins later.
        installed = sorted(registry.everything(Installation), key=lambda row: row.valid_from)
        self._at_point = {row.point_id: row for row in installed}
        self._of_meter = {row.meter_id: row for row in installed}
        self._paying = {
            row.point_id: row for row in sorted(registry.assignments(), key=lambda row: row.valid_from)
        }
        self._zones: dict[int, ZoneInfo] = {}
        self._new_accounts: set[str] = set()
        self._rows_of_meters: dict[int, int] = {}
        self._rows_of_points: dict[int, int] = {}

    def plan(self, table: Table) -> Plan:
        """What becomes of every row."""
        self._plan.errors += table.errors
        unreadable = {error.row for error in table.errors}
        for row in table.rows:
            if row.number not in unreadable:
                self._plan_row(row)
        self._plan.errors.sort(key=lambda error: error.row)
        return self._plan

    def _plan_row(self, row: TableRow) -> None:
        meter = self._attempt(row, self._meter)
        point = self._attempt(row, self._point)
        if point is None:
            return
        installed_at = (
            self._attempt(row, lambda values: self._installation(values, point, meter)) if meter else None
        )
        self._attempt(row, lambda values: self._account(values, point))
        if installed_at is None:
            return
        is_new = self._plan.installations and self._plan.installations[-1].point is point
        action = RowAction.CREATE if is_new else RowAction.UPDATE if self._update else RowAction.SKIP
        values = row.values
        self._plan.rows.append(
            PlannedRow(
                row.number, action, values["address"], values["point_code"], values.get("account_code")
            )
        )

    def _attempt(self, row: TableRow, step: Callable[[dict[str, Any]], _Made]) -> _Made | None:
        try:
            return step({"_row": row.number, **row.values})
        except BadValue as error:
            value = row.values.get(error.field, "")
            self._plan.errors.append(
                CellError(row.number, error.field, str(value), error.message, error.hint)
            )
            return None

    # -- the meter and its link -------------------------------------------------------------------------------------

    def _meter(self, values: dict[str, Any]) -> Meter:
        link = self._link(values)
        protocol = values.get("protocol", "dlt645-2007")
        key = (protocol, checked_address(protocol, values["address"]), link.code)
        meter = self._meters.get(key)
        if meter is None:
            meter = Meter(
                protocol=protocol,
                address=key[1],
                link=link,
                model=checked_model(protocol, values.get("model", "")),
                register_digits=values.get("register_digits", 6),
                register_decimals=values.get("register_decimals", 2),
                shows=checked_shows(self._side_of, protocol, values.get("model", ""), values.get("shows")),
                max_current_a=values.get("max_current_a"),
            )
            self._meters[key] = meter
            self._plan.meters.append(meter)
        elif self._update:
            if meter.id in self._of_meter and values.get("shows", meter.shows) != meter.shows:
                raise BadValue(
                    "shows", f"Meter {meter.address} shows {meter.shows} values.", hint=_NO_REWRITING
                )
            _change(
                meter, values, ("model", "register_digits", "register_decimals", "shows", "max_current_a")
            )
            checked_shows(self._side_of, protocol, meter.model, meter.shows)
        _once(self._rows_of_meters, meter, values, field="address", what=f"meter {key[1]}")
        return meter

    def _link(self, values: dict[str, Any]) -> Link:
        code, url = values["link_code"], values.get("link_url")
        if (link := self._links.get(code)) is not None:
            if url is not None and url != link.url:
                raise BadValue(
                    "link_url",
                    f"Link {code} has the URL {link.url}.",
                    hint="Change it at the link, or leave the cell empty.",
                )
            return link
        if url is None:
            raise BadValue(
                "link_code",
                f"There is no link {code}.",
                hint="Correct the code, or give the URL of a new link.",
            )
        try:
            LinkUrl.parse(url)
        except WattkeeperError as error:
            raise BadValue("link_url", error.message, hint=error.hint) from None
        link = Link(code=_code("link_code", code), name=code, url=url)
        self._links[code] = link
        self._plan.links.append(link)
        return link

    # -- the point and its area -------------------------------------------------------------------------------------

    def _point(self, values: dict[str, Any]) -> MeteringPoint:
        code = _code("point_code", values["point_code"])
        point = self._points.get(code)
        site = self._site(values, point)
        area = self._area(values, site)
        if point is None:
            point = MeteringPoint(
                site=site,
                code=code,
                name=values.get("point_name", code),
                kind=values.get("point_kind", PointKind.HOUSEHOLD),
                interval_minutes=values.get("interval_minutes", 15),
                rated_power_kw=values.get("rated_power_kw"),
            )
            self._points[code] = point
            self._plan.points.append(point)
            self._plan.areas_of_points += [(point, area)] if area else []
        elif self._update:
            _change(point, values, ("interval_minutes", "rated_power_kw"))
            _change(point, values, ("name", "kind"), prefix="point_")
            self._plan.areas_of_points += [(point, area)] if area else []
        self._zones[id(point)] = ZoneInfo(site.zone)
        _once(self._rows_of_points, point, values, field="point_code", what=f"metering point {code}")
        return point

    def _site(self, values: dict[str, Any], point: MeteringPoint | None) -> Site:
        code = values.get("site_code")
        site = self._sites.get(code) if code else next(iter(self._sites.values()), None)
        if site is None or (code is None and len(self._sites) > 1):
            what = f"There is no site {code}." if code else "It is not clear which site this is."
            raise BadValue(
                "site_code",
                what,
                hint=f"Use one of {', '.join(self._sites) or 'the sites, after adding one'}.",
            )
        if point is not None and point.site_id not in {None, site.id}:
            raise BadValue(
                "site_code",
                f"Metering point {point.code} belongs to another site.",
                hint="Correct the code of the point or of the site.",
            )
        return site

    def _area(self, values: dict[str, Any], site: Site) -> Area | None:
        if (code := values.get("area_code")) is None:
            return None
        if (area := self._areas.get((site.id, code))) is not None:
            return area
        if (name := values.get("area_name")) is None:
            raise BadValue(
                "area_code",
                f"There is no area {code}.",
                hint="Correct the code, or give the name of a new area.",
            )
        area = Area(site_id=site.id, code=_code("area_code", code), name=name, kind=AreaKind.AREA)
        self._areas[site.id, code] = area
        self._plan.areas.append(area)
        return area

    # -- periods ----------------------------------------------------------------------------------------------------

    def _installation(self, values: dict[str, Any], point: MeteringPoint, meter: Meter) -> datetime:
        here, there = self._at_point.get(point.id), self._of_meter.get(meter.id)
        if here is not None and here.valid_to is None and here.meter_id == meter.id:
            return self._unchanged(here, values, point)
        _refuse_occupied(here, there, point=point, meter=meter)
        installed_at = self._in_utc(
            needed(values, "installed_at", "A new installation needs its time."), point
        )
        free_from = max((_end(row) for row in (here, there) if row is not None), default=_NEVER)
        if installed_at < free_from:
            raise BadValue(
                "installed_at",
                f"The point or the meter was in use until {free_from:%Y-%m-%d %H:%M} UTC.",
                hint="Give a later time.",
            )
        self._plan.installations.append(
            Installation(
                point=point,
                meter=meter,
                valid_from=installed_at,
                ct_ratio=values.get("ct_ratio", Decimal(1)),
                pt_ratio=values.get("pt_ratio", Decimal(1)),
                first_register=_first_register(values, meter),
            )
        )
        return installed_at

    def _unchanged(self, found: Installation, values: dict[str, Any], point: MeteringPoint) -> datetime:
        """When the meter was installed; an import may repeat that but not rewrite it, because bills rest on it.

        A contradiction is an error even where existing rows are skipped: silence would pass it for the truth.
        """
        known = {
            name: getattr(found, name).normalize() for name in ("ct_ratio", "pt_ratio", "first_register")
        }
        for column, value in known.items():
            if values.get(column, value) != value:
                raise BadValue(column, f"The meter was installed with {value:f} here.", hint=_NO_REWRITING)
        if "installed_at" in values and self._in_utc(values["installed_at"], point) != found.valid_from:
            was = found.valid_from.astimezone(self._zones[id(point)])
            raise BadValue(
                "installed_at", f"The meter was installed at {was:%Y-%m-%d %H:%M}.", hint=_NO_REWRITING
            )
        return found.valid_from

    def _account(self, values: dict[str, Any], point: MeteringPoint) -> None:
        if (code := values.get("account_code")) is None:
            return
        paying = self._paying.get(point.id)
        account = self._accounts.get(code)
        if paying is not None and paying.valid_to is None:
            if account is None or paying.account_id != account.id:
                raise BadValue(
                    "account_code",
                    f"Another account pays for metering point {point.code}.",
                    hint="Move the customer in at the metering point, with a date.",
                )
        else:
            self._assign(values, point, account or self._new_account(values, point), paying)
        if account is None:
            return
        if code in self._new_accounts:
            _same(account.name, values, "account_name", what=f"account {code}")
        elif self._update:
            _change(account, values, ("name", "kind", "address"), prefix="account_")

    def _assign(
        self, values: dict[str, Any], point: MeteringPoint, account: Account, before: AccountPoint | None
    ) -> None:
        starts = self._in_utc(needed(values, "installed_at", "The account pays from then on."), point)
        if before is not None and starts < _end(before):
            raise BadValue(
                "installed_at",
                f"Another account paid for metering point {point.code} then.",
                hint="Give a later time.",
            )
        self._plan.assignments.append(AccountPoint(account=account, point=point, valid_from=starts))

    def _new_account(self, values: dict[str, Any], point: MeteringPoint) -> Account:
        code = _code("account_code", values["account_code"])
        name = needed(values, "account_name", f"There is no account {code}; a new one needs a name.")
        opened_at = self._in_utc(needed(values, "installed_at", "A new account opens then."), point)
        customer_code = values.get("customer_code", code)
        customer = self._customers.get(customer_code)
        if customer is None:
            customer = Customer(
                code=_code("customer_code", customer_code),
                name=values.get("customer_name", name),
                phone=values.get("phone"),
                email=values.get("email"),
                address=values.get("account_address"),
            )
            self._customers[customer_code] = customer
            self._plan.customers.append(customer)
        account = Account(
            customer=customer,
            code=code,
            name=name,
            address=values.get("account_address"),
            kind=values.get("account_kind", AccountKind.RESIDENTIAL),
            opened_at=opened_at,
        )
        self._accounts[code] = account
        self._new_accounts.add(code)
        self._plan.accounts.append(account)
        return account

    def _in_utc(self, local: datetime, point: MeteringPoint) -> datetime:
        return local.replace(tzinfo=self._zones[id(point)]).astimezone(UTC)


def _refuse_occupied(
    here: Installation | None, there: Installation | None, *, point: MeteringPoint, meter: Meter
) -> None:
    if here is not None and here.valid_to is None:
        raise BadValue(
            "point_code",
            f"Metering point {point.code} has another meter.",
            hint="Use the meter exchange, so that the last reading is kept.",
        )
    if there is not None and there.valid_to is None:
        raise BadValue(
            "address",
            f"Meter {meter.address} is installed at another metering point.",
            hint="Remove it there first.",
        )


def _first_register(values: dict[str, Any], meter: Meter) -> Decimal:
    value: Decimal = values.get("first_register", Decimal(0))
    digits, decimals = meter.register_digits, meter.register_decimals
    try:
        return checked_register(value, address=meter.address, digits=digits, decimals=decimals)
    except WattkeeperError as error:
        raise BadValue("first_register", error.message, hint=error.hint) from None


def _change(entity: Any, values: dict[str, Any], names: tuple[str, ...], *, prefix: str = "") -> None:
    """Overwrite with what the row says; an empty cell leaves the value as it is."""
    for name in names:
        if prefix + name in values:
            setattr(entity, name, values[prefix + name])


def _once(rows: dict[int, int], entity: object, values: dict[str, Any], *, field: str, what: str) -> None:
    first = rows.setdefault(id(entity), values["_row"])
    if first != values["_row"]:
        raise BadValue(field, f"Row {first} has {what} already.", hint="Remove one of the rows.")


def _same(known: str, values: dict[str, Any], column: str, *, what: str) -> None:
    if values.get(column, known) != known:
        raise BadValue(column, f"An earlier row calls {what} {known}.", hint="Make the two rows agree.")


def _code(column: str, code: str) -> str:
    try:
        return checked_code(column.removesuffix("_code"), code)
    except BadValue as error:
        raise BadValue(column, error.message, hint=error.hint) from None


def _end(row: Installation | AccountPoint) -> datetime:
    return row.valid_to or _FOREVER
