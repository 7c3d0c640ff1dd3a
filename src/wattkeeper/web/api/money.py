"""Customers and money: the operations on customers, accounts, bills, payments and tariffs together."""

from fastapi import APIRouter

from wattkeeper.web.api import accounts, bills, customers, payments, runs, tariffs

router = APIRouter()
for _part in (customers, accounts, bills, runs, payments, tariffs):
    router.include_router(_part.router)
