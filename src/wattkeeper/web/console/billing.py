"""Customers and money: the pages of customers, accounts, bills and payments together."""

from fastapi import APIRouter

from wattkeeper.web.console import account_changes, accounts, bills, customers, payments

router = APIRouter(include_in_schema=False)
for _part in (customers, accounts, account_changes, bills, payments):
    router.include_router(_part.router)
