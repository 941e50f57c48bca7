"""Rows that somebody with every right altered in SQL, and which invariant must turn red.

Each is run as the owner of the database, with triggers and foreign keys off; the last statement
answers the name that a red line must hold.
"""

# Rows to aim at, by what they are.
DEPOSIT = "(SELECT min(id) FROM entry WHERE reason = 'deposit')"
CAPTURE = "(SELECT min(id) FROM entry WHERE reason = 'payment captured')"
RECEIVED = "(SELECT min(id) FROM entry WHERE reason = 'payment received')"
PAID = "(SELECT min(id) FROM payment WHERE capture_entry IS NOT NULL AND refunded_units = 0)"
TOLD = "(SELECT min(event_id) FROM log_entry WHERE merchant IS NOT NULL AND position > 20)"
LOGGED = (
    "SELECT format('log_entry 1 %s (event %s)', position, event_id) FROM log_entry"
    f" WHERE event_id = {TOLD}"
)
COVERS = (
    "SELECT 'checkpoint 1 ' || min(size) FROM checkpoint WHERE size >"
    f" (SELECT position FROM log_entry WHERE event_id = {TOLD})"
)
LINE = "(SELECT min(payment) FROM settlement_line WHERE deferred_at IS NULL)"
SENT = "(SELECT min(id) FROM payout WHERE status = 'completed')"
BOOKING = (
    "(SELECT min(id) FROM bank_sim.booking WHERE iban IN"
    " (SELECT iban FROM bank_sim.account WHERE holder = 'issuer'))"
)
NOTICE = "(SELECT min(id) FROM bank_message WHERE kind = 'camt.054.DBIT')"
TAKEN = "(SELECT min(ref) FROM bank_statement_line WHERE end_to_end_id IS NOT NULL)"
# The bank's day in which nothing happened, whose statement nothing else mentions.
QUIET = (
    "(SELECT min(day) FROM bank_statement s WHERE iban = 'KZ639480000000000001' AND NOT EXISTS"
    " (SELECT FROM bank_statement_line l WHERE (l.iban, l.day) = (s.iban, s.day)))"
)
SENT_BACK = "(SELECT min(end_to_end_id) FROM bank_sim.payment_order WHERE status = 'returned')"

ROWS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    # The books.
    ("one leg", "I3", (
        f"UPDATE leg SET amount = amount - 1 WHERE entry_id = {DEPOSIT} AND line = 1",
        f"SELECT 'entry ' || {DEPOSIT}",
    )),
    ("both legs of an entry", "I8", (
        f"UPDATE leg SET amount = amount - 1 WHERE entry_id = {DEPOSIT}",
        f"SELECT 'entry ' || {DEPOSIT}",
    )),
    ("a leg moved to another account", "I8", (
        "UPDATE leg SET account_id = (SELECT min(id) FROM account WHERE code LIKE 'suspense:%' AND"
        f" id <> leg.account_id) WHERE entry_id = {CAPTURE} AND side = 'D'",
        f"SELECT 'entry ' || {CAPTURE}",
    )),
    ("a cached balance", "I4", (
        "UPDATE balance SET posted = posted + 1 WHERE account_id ="
        " (SELECT id FROM account WHERE code = 'float' AND asset = 'KZTE.evm')",
        "SELECT 'account ' || id FROM account WHERE code = 'float' AND asset = 'KZTE.evm'",
    )),
    ("legs and cached balances together", "I8", (
        f"UPDATE leg SET amount = amount - 1 WHERE entry_id = {CAPTURE}",
        "UPDATE balance SET posted = posted + CASE WHEN code LIKE 'merchant:%' THEN -1 ELSE 1 END"
        f" FROM leg, account WHERE entry_id = {CAPTURE} AND leg.account_id = balance.account_id"
        " AND account.id = balance.account_id",
        f"SELECT 'entry ' || {CAPTURE}",
    )),
    ("the day of an entry", "I8", (
        f"UPDATE entry SET effective_at = effective_at - interval '1 day' WHERE id = {CAPTURE}",
        f"SELECT 'entry ' || {CAPTURE}",
    )),
    ("a resolution removed", "I8", (
        f"DELETE FROM resolution WHERE entry_id = {RECEIVED}",
        f"SELECT 'entry ' || {RECEIVED}",
    )),
    ("a resolution at another height", "I5", (
        f"UPDATE resolution SET height = height - 1 WHERE entry_id = {RECEIVED}",
        f"SELECT 'resolution ' || {RECEIVED}",
    )),
    ("a whole entry with its legs and its event", "I8", (
        f"DELETE FROM leg WHERE entry_id = {CAPTURE}",
        "DELETE FROM event WHERE type = 'payment.captured' AND convert_from(leaf, 'UTF8') LIKE"
        f" '%' || {CAPTURE} || '%'",
        f"DELETE FROM entry WHERE id = {CAPTURE}",
        "SELECT 'log_entry 1 ' || min(position) FROM log_entry l"
        " WHERE NOT EXISTS (SELECT FROM event WHERE id = l.event_id)",
    )),
    # The log.
    ("the payload of an event", "I8", (
        "UPDATE event SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '\"chain\"',"
        " '\"chaim\"'), 'UTF8') WHERE id = (SELECT min(id) FROM event WHERE type ="
        " 'payment.final')",
        "SELECT format('log_entry 1 %s (event %s)', position, event_id) FROM log_entry"
        " WHERE event_id = (SELECT min(id) FROM event WHERE type = 'payment.final')",
    )),
    ("one byte of a leaf", "I8", (
        f"UPDATE event SET leaf = set_byte(leaf, 30, 255) WHERE id = {TOLD}",
        LOGGED,
    )),
    ("the hash of a leaf", "I8", (
        f"UPDATE log_entry SET leaf_hash = sha256('x') WHERE event_id = {TOLD}",
        LOGGED,
    )),
    ("event and leaf together", "I8", (
        "UPDATE event SET type = 'payment.final', leaf = convert_to(regexp_replace("
        "convert_from(leaf, 'UTF8'), '\"type\":\"[^\"]*\"', '\"type\":\"payment.final\"'), 'UTF8')"
        f" WHERE id = {TOLD}",
        "UPDATE log_entry SET leaf_hash = sha256('\\x00' || (SELECT leaf FROM event WHERE id ="
        f" event_id)) WHERE event_id = {TOLD}",
        COVERS,
    )),
    ("an event of another merchant", "I8", (
        f"UPDATE event SET merchant = 'mch_other' WHERE id = {TOLD}",
        LOGGED,
    )),
    ("a private field of an event", "I8", (
        "UPDATE event SET private = private || '{\"description\": \"other\"}' WHERE id ="
        " (SELECT min(id) FROM event WHERE private ? 'description')",
        "SELECT format('log_entry 1 %s (event %s)', position, event_id) FROM log_entry WHERE"
        " event_id = (SELECT min(id) FROM event WHERE private ? 'description')",
    )),
    ("an entry of the log removed", "I8", (
        "DELETE FROM log_entry WHERE position = 40",
        "SELECT 'log_entry 1 40: position 40 is missing'",
    )),
    ("a tile", "I8", (
        "UPDATE log_node SET hash = sha256('x') WHERE level = 1 AND index = 0",
        "SELECT 'log_node 1 1 0'",
    )),
    ("the signature of a checkpoint", "I8", (
        "UPDATE checkpoint SET note = overlay(note PLACING 'AAAA' FROM length(note) - 20)"
        " WHERE size = (SELECT min(size) FROM checkpoint WHERE size > 30)",
        "SELECT 'checkpoint 1 ' || min(size) FROM checkpoint WHERE size > 30",
    )),
    ("the log cut back to an older state", "I8", (
        "DELETE FROM event WHERE id IN (SELECT event_id FROM log_entry WHERE position >="
        " (SELECT max(size) FROM checkpoint WHERE size < 200))",
        "DELETE FROM log_entry WHERE position >="
        " (SELECT max(size) FROM checkpoint WHERE size < 200)",
        "DELETE FROM checkpoint WHERE size >= 200",
        "DELETE FROM log_node WHERE true",
        "SELECT 'position ' || max(size) || ' is missing' FROM checkpoint",
    )),
    # The chains, as stored.
    ("a chain transfer", "I5", (
        "UPDATE chain_transfer SET amount_units = amount_units + 1 WHERE id ="
        f" (SELECT transfer_id FROM payment WHERE id = {PAID})",
        f"SELECT 'chain_transfer ' || transfer_id FROM payment WHERE id = {PAID}",
    )),
    ("a transfer of our own", "I5", (
        "UPDATE chain_transfer SET amount_units = amount_units + 1 WHERE id ="
        " (SELECT min(id) FROM chain_transfer WHERE kind = 'burn')",
        "SELECT 'chain_transfer ' || min(id) FROM chain_transfer WHERE kind = 'burn'",
    )),
    ("the block of a transfer", "I5", (
        "UPDATE chain_inclusion SET height = height - 1 WHERE transfer_id ="
        f" (SELECT transfer_id FROM payment WHERE id = {PAID})",
        f"SELECT format('chain_inclusion %s 1', transfer_id) FROM payment WHERE id = {PAID}",
    )),
    ("a transfer in no block", "I5", (
        "DELETE FROM chain_inclusion WHERE transfer_id = (SELECT min(id) FROM chain_transfer)",
        "SELECT 'chain_transfer ' || min(id) FROM chain_transfer",
    )),
    # Checkout.
    ("the amount of a payment", "I5", (
        f"UPDATE payment SET amount_units = amount_units + 1 WHERE id = {PAID}",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("a payment and its transfer", "I8", (
        f"UPDATE payment SET amount_units = amount_units + 1 WHERE id = {PAID}",
        "UPDATE chain_transfer SET amount_units = amount_units + 1 WHERE id ="
        f" (SELECT transfer_id FROM payment WHERE id = {PAID})",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("captured units", "I7", (
        f"UPDATE payment SET counted_units = counted_units + 1 WHERE id = {PAID}",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("a payment of another session", "I5", (
        "UPDATE payment SET session = (SELECT min(id) FROM checkout_session WHERE id <> session)"
        f" WHERE id = {PAID}",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("a payment of another merchant", "I7", (
        f"UPDATE payment SET merchant = 'mch_other' WHERE id = {PAID}",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("a fee", "I7", (
        f"UPDATE payment SET fee_tiyn = fee_tiyn - 1 WHERE id = {PAID}",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("a fee and its rate", "I8", (
        f"UPDATE payment SET fee_tiyn = 0, fee_bps = 0 WHERE id = {PAID}",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("who paid, where a refund goes", "I8", (
        f"UPDATE payment SET from_address = 'other' WHERE id = {PAID}",
        "UPDATE chain_transfer SET source = 'other' WHERE id ="
        f" (SELECT transfer_id FROM payment WHERE id = {PAID})",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("a payment removed", "I8", (
        "CREATE TABLE gone AS SELECT max(id) AS id FROM payment WHERE settlement IS NULL",
        "DELETE FROM payment USING gone WHERE payment.id = gone.id",
        "SELECT 'payment ' || id FROM gone",
    )),
    ("the price of a session", "I8", (
        "UPDATE checkout_session SET amount_tiyn = amount_tiyn - 1 WHERE id ="
        " (SELECT min(id) FROM checkout_session)",
        "SELECT 'checkout_session ' || min(id) FROM checkout_session",
    )),
    ("a refund", "I5", (
        "UPDATE refund SET amount_units = amount_units - 1 WHERE id = (SELECT min(id) FROM refund)",
        "SELECT 'refund ' || min(id) FROM refund",
    )),
    ("a refund that never was", "I5", (
        "UPDATE refund SET status = 'failed' WHERE id = (SELECT min(id) FROM refund)",
        "SELECT 'refund ' || min(id) FROM refund",
    )),
    ("a stray resolved by nobody", "I8", (
        "UPDATE stray_transfer SET status = 'resolved', resolution = 'refunded' WHERE id ="
        " (SELECT min(id) FROM stray_transfer WHERE status = 'open')",
        "SELECT 'stray_transfer ' || min(id) FROM stray_transfer WHERE status = 'resolved'"
        " AND resolved_at IS NULL",
    )),
    ("a sweep", "I5", (
        "UPDATE sweep SET moved_units = moved_units + 1 WHERE id = (SELECT min(id) FROM sweep)",
        "SELECT 'sweep ' || min(id) FROM sweep",
    )),
    ("what a sweep took", "I5", (
        "UPDATE payment SET sweep = NULL WHERE id ="
        " (SELECT min(id) FROM payment WHERE sweep = (SELECT min(id) FROM sweep))",
        "SELECT 'sweep ' || min(id) FROM sweep",
    )),
    # Settlement and bank.
    ("a settlement line", "I7", (
        f"UPDATE settlement_line SET amount_tiyn = amount_tiyn + 1 WHERE payment = {LINE}",
        "SELECT format('settlement_line %s %s', settlement, payment) FROM settlement_line"
        f" WHERE payment = {LINE}",
    )),
    ("the fee of a line", "I7", (
        f"UPDATE settlement_line SET fee_tiyn = fee_tiyn - 1 WHERE payment = {LINE}",
        "SELECT format('settlement_line %s %s', settlement, payment) FROM settlement_line"
        f" WHERE payment = {LINE}",
    )),
    ("lines of two settlements swapped", "I8", (
        "UPDATE settlement_line l SET settlement = CASE l.settlement WHEN a.one THEN a.other ELSE"
        " a.one END FROM (SELECT min(settlement) AS one, max(settlement) AS other FROM"
        " settlement_line) a WHERE l.payment IN (SELECT min(payment) FROM settlement_line"
        " WHERE settlement IN (a.one, a.other) GROUP BY settlement)",
        f"SELECT format('settlement_line %s %s', settlement, payment) FROM settlement_line"
        f" WHERE payment = {LINE}",
    )),
    ("a settlement", "I7", (
        "UPDATE settlement SET paid_tiyn = paid_tiyn + 1 WHERE id ="
        " (SELECT min(id) FROM settlement)",
        "SELECT 'settlement ' || min(id) FROM settlement",
    )),
    ("a burn", "I7", (
        "UPDATE settlement_burn SET units = units - 1 WHERE settlement ="
        " (SELECT min(settlement) FROM settlement_burn) AND chain = 'solana'",
        "SELECT format('settlement_burn %s solana', min(settlement)) FROM settlement_burn",
    )),
    ("VAT", "I7", (
        "UPDATE settlement_burn SET vat_tiyn = vat_tiyn - 1 WHERE settlement ="
        " (SELECT min(settlement) FROM settlement_burn) AND chain = 'solana'",
        "SELECT format('settlement_burn %s solana', min(settlement)) FROM settlement_burn",
    )),
    ("the rate of VAT", "I8", (
        "UPDATE settlement_burn SET vat_percent = 12, vat_tiyn = div(2 * fee_tiyn * 12 + 112, 224)"
        " WHERE settlement = (SELECT min(settlement) FROM settlement_burn) AND chain = 'solana'",
        "SELECT format('settlement_burn %s solana', min(settlement)) FROM settlement_burn",
    )),
    ("a payout", "I6", (
        f"UPDATE payout SET amount_tiyn = amount_tiyn + 1 WHERE id = {SENT}",
        f"SELECT 'payout ' || {SENT}",
    )),
    ("the IBAN of a payout that was sent", "I6", (
        f"UPDATE payout SET iban = 'KZ000000000000000000' WHERE id = {SENT}",
        f"SELECT 'payout ' || {SENT}",
    )),
    ("the IBAN of a payout and of its order", "I8", (
        f"UPDATE payout SET iban = 'KZ000000000000000000' WHERE id = {SENT}",
        "UPDATE bank_message SET body = body || '{\"creditor_iban\": \"KZ000000000000000000\"}'"
        f" WHERE direction = 'out' AND ref = {SENT}",
        f"SELECT 'payout ' || {SENT}",
    )),
    ("a merchant's IBAN", "I8", (
        "UPDATE merchant SET iban = 'KZ000000000000000000' WHERE id ="
        " (SELECT min(id) FROM merchant)",
        "SELECT 'merchant ' || min(id) FROM merchant",
    )),
    ("a statement line", "I6", (
        f"UPDATE bank_sim.booking SET amount_tiyn = amount_tiyn + 1 WHERE id = {BOOKING}",
        f"SELECT 'bank_sim.booking ' || {BOOKING}",
    )),
    ("a statement line missing", "I6", (
        "DELETE FROM bank_sim.booking WHERE ref = (SELECT body ->> 'bank_reference' FROM"
        f" bank_message WHERE id = {NOTICE}) AND side = 'debit'",
        "SELECT format('bank_sim.booking %s %s', body ->> 'iban', body ->> 'bank_reference')"
        f" FROM bank_message WHERE id = {NOTICE}",
    )),
    ("a bank message", "I6", (
        "UPDATE bank_message SET body = body || '{\"amount_tiyn\": 1}'"
        f" WHERE direction = 'out' AND ref = {SENT}",
        f"SELECT 'bank_message ' || id FROM bank_message WHERE direction = 'out' AND ref = {SENT}",
    )),
    ("a bank message removed", "I6", (
        "CREATE TABLE gone AS SELECT m.id, b.id AS booking FROM bank_message m JOIN"
        " bank_sim.booking b ON b.ref = m.body ->> 'bank_reference' AND b.side = 'debit'"
        f" WHERE m.id = {NOTICE}",
        "DELETE FROM bank_message USING gone WHERE bank_message.id = gone.id",
        "SELECT 'bank_sim.booking ' || booking FROM gone",
    )),
    ("a deposit", "I6", (
        "UPDATE deposit SET amount_tiyn = amount_tiyn + 1 WHERE id ="
        " (SELECT min(id) FROM deposit)",
        "SELECT 'deposit ' || min(id) FROM deposit",
    )),
    ("a line of a statement that was taken", "I6", (
        f"UPDATE bank_statement_line SET amount_tiyn = amount_tiyn + 1 WHERE ref = {TAKEN}",
        "SELECT format('bank_statement_line %s %s %s', iban, day, line) FROM bank_statement_line"
        f" WHERE ref = {TAKEN} LIMIT 1",
    )),
    ("a line removed from a statement that was taken", "I6", (
        "CREATE TABLE gone AS SELECT m.id, l.iban, l.ref FROM bank_statement_line l"
        " JOIN bank_message m ON m.kind = 'camt.054.DBIT' AND m.ref = l.ref"
        f" WHERE l.ref = {TAKEN} LIMIT 1",
        "DELETE FROM bank_statement_line l USING gone g WHERE l.iban = g.iban AND l.ref = g.ref",
        "SELECT 'bank_message ' || id FROM gone",
    )),
    ("the balances of statements that were taken", "I8", (
        "UPDATE bank_statement SET opening_tiyn = opening_tiyn + 1, closing_tiyn = closing_tiyn"
        " + 1 WHERE iban = 'KZ639480000000000001'",
        "SELECT format('bank_statement KZ639480000000000001 %s', min(day)) FROM bank_statement",
    )),
    ("a statement of a day without lines removed", "I8", (
        f"CREATE TABLE gone AS SELECT {QUIET} AS day",
        "DELETE FROM bank_statement s USING gone WHERE s.day = gone.day",
        "SELECT 'bank_statement KZ639480000000000001 ' || day FROM gone",
    )),
    ("the XML of a statement that was taken", "I6", (
        f"UPDATE bank_statement SET xml = replace(xml, 'KZT', 'USD') WHERE day = {QUIET}",
        f"SELECT 'bank_statement KZ639480000000000001 ' || {QUIET}",
    )),
    ("the XML of a bank message", "I6", (
        f"UPDATE bank_message SET xml = replace(xml, 'KZT', 'USD') WHERE id = {NOTICE}",
        f"SELECT 'bank_message ' || {NOTICE}",
    )),
    ("what the bank says of an order that came back", "I6", (
        "UPDATE bank_sim.payment_order SET status = 'booked' WHERE end_to_end_id ="
        f" {SENT_BACK}",
        "SELECT 'bank_message ' || id FROM bank_message WHERE kind = 'pacs.008' AND end_to_end_id"
        " = (SELECT min(end_to_end_id) FROM bank_message WHERE kind = 'pacs.004')",
    )),
    ("a credit that was announced", "I6", (
        "UPDATE pending_credit SET amount_tiyn = amount_tiyn + 1",
        "SELECT 'pending_credit ' || bank_reference FROM pending_credit",
    )),
    ("what was taken back of a reversed credit", "I6", (
        "UPDATE credit_reversal SET taken_back_tiyn = taken_back_tiyn - 1,"
        " amount_tiyn = amount_tiyn - 1",
        "SELECT 'credit_reversal ' || id FROM credit_reversal",
    )),
    ("what a settlement carries", "I7", (
        "UPDATE settlement SET carried_tiyn = carried_tiyn + 1 WHERE id ="
        " (SELECT min(id) FROM settlement)",
        "SELECT 'settlement ' || min(id) FROM settlement",
    )),
    ("the fee of a settlement said to be unpaid", "I6", (
        "UPDATE settlement SET fee_status = 'pending' WHERE id ="
        " (SELECT min(id) FROM settlement WHERE fee_status = 'paid')",
        "SELECT 'settlement ' || min(id) FROM settlement WHERE fee_status = 'pending'",
    )),
    ("the value date of a payout", "I6", (
        f"UPDATE payout SET value_date = value_date - 1 WHERE id = {SENT}",
        f"SELECT 'payout ' || {SENT}",
    )),
    # Redemptions, moves and attestations.
    ("the account of a redemption that was paid", "I6", (
        "UPDATE redemption SET iban = 'KZ41722C000000000001'",
        "SELECT 'redemption ' || id FROM redemption",
    )),
    ("the amount of a redemption", "I6", (
        "UPDATE intake SET amount_tiyn = amount_tiyn + 1, amount_units = amount_units + 1"
        " WHERE id LIKE 'red_%'",
        "SELECT 'redemption ' || id FROM redemption",
    )),
    ("who got the units of a move", "I2", (
        "UPDATE bridge_move SET recipient = 'another'",
        "SELECT 'bridge_move ' || id FROM bridge_move",
    )),
    ("the ratio that was attested", "I8", (
        "UPDATE attestation SET statement = statement || '{\"ratio\": \"9.9999\"}' WHERE id ="
        " (SELECT min(id) FROM attestation WHERE status = 'attested')",
        "SELECT 'attestation ' || min(id) FROM attestation WHERE status = 'attested'",
    )),
    # The rest.
    ("an issuance", "I8", (
        "UPDATE issuance SET amount_tiyn = amount_tiyn + 1 WHERE id ="
        " (SELECT min(id) FROM issuance)",
        "SELECT 'issuance ' || min(id) FROM issuance",
    )),
    ("a faucet grant", "I8", (
        "UPDATE faucet_grant SET amount_tiyn = amount_tiyn + 1 WHERE id ="
        " (SELECT min(id) FROM faucet_grant)",
        "SELECT 'faucet_grant ' || min(id) FROM faucet_grant",
    )),
    ("a webhook marked delivered", "I8", (
        "UPDATE webhook_delivery SET status = 'delivered' WHERE id ="
        " (SELECT min(id) FROM webhook_delivery WHERE status <> 'delivered')",
        "SELECT 'webhook_delivery ' || min(id) FROM webhook_delivery WHERE status = 'delivered'",
    )),
    # What was there and is nowhere: NULL is equal to nothing, and different from nothing.
    ("what a refund was asked for", "I5", (
        "UPDATE chain_intent SET command = command - 'amount_units' - 'recipient'"
        " WHERE kind = 'refund'",
        "SELECT 'refund ' || min(id) FROM refund",
    )),
    ("the moment of a capture gone", "I7", (
        f"UPDATE payment SET captured_at = NULL WHERE id = {PAID}",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("the entry of a sweep gone", "I5", (
        "UPDATE sweep SET entry = NULL WHERE id ="
        " (SELECT min(id) FROM sweep WHERE entry IS NOT NULL)",
        "SELECT 'sweep ' || min(id) FROM sweep WHERE entry IS NULL AND planned_units > 0",
    )),
    ("the end of a sweep gone", "I5", (
        "UPDATE sweep SET ended_at = NULL WHERE id = (SELECT min(id) FROM sweep)",
        "SELECT 'sweep ' || min(id) FROM sweep",
    )),
    ("the moment of a settlement gone", "I7", (
        "UPDATE settlement SET settled_at = NULL WHERE id = (SELECT min(id) FROM settlement)",
        "SELECT 'settlement ' || min(id) FROM settlement",
    )),
    ("the moment of a burn gone", "I7", (
        "UPDATE settlement_burn SET burned_at = NULL WHERE settlement ="
        " (SELECT min(settlement) FROM settlement_burn) AND chain = 'solana'",
        "SELECT format('settlement_burn %s solana', min(settlement)) FROM settlement_burn",
    )),
    ("the end of a payout gone", "I6", (
        f"UPDATE payout SET ended_at = NULL WHERE id = {SENT}",
        f"SELECT 'payout ' || {SENT}",
    )),
    ("the instruction of a payout gone", "I6", (
        f"UPDATE payout SET instructed_at = NULL WHERE id = {SENT}",
        f"SELECT 'payout ' || {SENT}",
    )),
)  # fmt: skip
