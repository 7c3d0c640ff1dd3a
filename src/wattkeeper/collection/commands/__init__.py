"""Commands to meters (远程控制): asked, approved, sent once, and believed only when the meter's own state shows it.

`service` is for people: asking, deciding, standing orders. `ledger` keeps every command and every step it took.
`lane` is the part of a link's worker that sends; `dispatch` brings it what is to be sent.
"""
