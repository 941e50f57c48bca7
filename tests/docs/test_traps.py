"""Traps and bad input that the reserve has to stand, and the tests that hold each.

The numbers are those of KAZAKHSTAN section 8; 14 to 17 and 19 are about chains, supervision and
receipts.
"""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

TRAPS: dict[int, tuple[str, tuple[str, ...]]] = {
    1: ("IIN and BIN by the second pass, and numbers that are never issued", (
        "parties/test_numbers.py::test_a_person_is_known_by_a_valid_iin_of_either_pass",
        "parties/test_numbers.py::test_a_firm_is_known_by_a_valid_bin_of_either_pass",
        "parties/test_numbers.py::test_a_number_that_both_passes_give_ten_for_is_never_issued",
    )),
    2: ("IBAN with letters, lower case, spaces; right MOD 97 but unknown bank", (
        "bank/test_accounts.py::test_what_no_machine_may_send_is_refused",
        "bank/test_accounts.py::test_what_is_no_account_in_kazakhstan_is_refused_at_every_door",
        "bank/test_accounts.py::test_ibans_with_right_check_digits_are_accepted",
        "parties/test_numbers.py::test_right_check_digits_do_not_save_an_unknown_bank",
    )),
    3: ("a payee with an IIN and KBe 17", (
        "parties/test_numbers.py::test_a_sector_that_contradicts_the_payee_is_refused",
        "bank/test_simulator.py::test_an_order_that_the_bank_could_not_carry_is_refused_by_name",
        "reserve/test_redemptions.py::test_what_is_wrong_is_refused_by_name",
    )),
    4: ("what was charged at 12 % on 31 December 2025 goes back at 12 % in January", (
        "settlement/test_vat.py::test_what_a_batch_of_december_gives_back_in_january_goes_back_at"
        "_decembers_rate",
        "settlement/test_vat.py::test_the_rate_is_that_of_the_day",
    )),
    5: ("31 December 19:30 UTC is 1 January in Almaty", (
        "settlement/test_vat.py::test_the_evening_of_31_december_in_utc_is_the_new_year_in_almaty",
        "bank/test_calendar.py::test_the_date_is_counted_in_almaty",
        "bank/test_statements.py::test_a_payment_after_midnight_in_almaty_stands_in_the_next_day",
    )),
    6: ("redeemed on Friday 20 March 2026 after the cut-off, paid on Thursday 26 March", (
        "reserve/test_redemptions.py::test_what_is_redeemed_on_friday_evening_before_nauryz_is_paid"
        "_next_thursday",
        "bank/test_calendar.py::test_the_value_date_is_the_banking_day_after_the_cut_off",
    )),
    7: ("31 August 2026 is a working day, 15 March 2027 is none", (
        "bank/test_calendar.py::test_the_day_of_the_old_constitution_is_no_holiday_from_2026",
        "bank/test_calendar.py::test_the_weekdays_without_a_bank_are_those_of_the_official_calendar",
    )),
    8: ("29 February 2024 is at UTC+6", (
        "bank/test_calendar.py::test_almaty_moved_to_utc_plus_five_in_march_2024",
    )),
    9: ("no-break spaces, thin ones and plain ones in amounts", (
        "bank/test_iso20022.py::test_a_malformed_payment_is_refused_by_name",
        "reserve/test_deposits.py::test_a_deposit_that_does_not_fit_the_schema_is_refused",
        "core/test_money.py::test_amounts_read_as_people_write_them",
    )),
    10: ("0.000001 KZTE with six decimals", (
        "core/test_money.py::test_a_remainder_below_one_tiyn_is_shown_and_not_rounded_away",
        "reserve/test_redemptions.py::test_too_few_units_are_kept_visibly_and_go_back_when_it_is"
        "_over",
        "payments/test_scenarios.py::test_a_speck_of_dust_with_the_reference_does_not_mask_the"
        "_payment",
    )),
    11: ("the same transaction twice after a restart; a fork before finality", (
        "payments/test_scenarios.py::test_the_same_transaction_seen_twice_is_one_payment",
        "chains/test_watcher.py::test_a_restart_between_confirmed_and_final_goes_on_from_what_is"
        "_stored",
        "chains/test_solana_watcher.py::test_a_payment_lost_in_a_reorg_is_reverted_and_one_that"
        "_returns_is_included_again",
        "chains/test_evm_watcher.py::test_a_payment_lost_in_a_reorg_is_reverted_and_one_that"
        "_returns_is_included_again",
    )),
    12: ("the same bank credit twice", (
        "reserve/test_deposits.py::test_a_repeated_bank_reference_answers_the_first_deposit",
        "reserve/test_deposits.py::test_the_same_bank_reference_at_once_counts_once",
        "bank/test_faults.py::test_a_duplicate_notice_changes_nothing",
    )),
    13: ("a mint while the reserve's statement is stale", (
        "reserve/test_credits.py::test_a_stale_statement_mints_nothing_where_fresh_ones_are_asked"
        "_for",
    )),
    18: ("at the weekend tokens settle, tenge do not; the instant rail is open", (
        "settlement/test_payouts.py::test_at_the_weekend_tokens_settle_and_tenge_wait_for_monday",
        "bank/test_simulator.py::test_an_instant_payment_is_booked_on_a_sunday_night",
    )),
    20: ("KZTE, digital tenge and card tenge stay assets of their own", (
        "ledger/test_raw_sql.py::test_a_book_holds_its_own_assets_only",
        "ledger/test_raw_sql.py::test_assets_may_not_balance_each_other",
        "ledger/test_raw_sql.py::test_books_may_not_balance_each_other",
    )),
}  # fmt: skip


BAD_INPUT: dict[str, tuple[str, ...]] = {
    "an unknown IBAN": (
        "bank/test_simulator.py::test_an_order_to_a_number_that_is_no_iban_is_rejected",
        "bank/test_simulator.py::test_money_for_an_account_that_no_bank_has_is_refused",
    ),
    "a wrong check digit": (
        "bank/test_accounts.py::test_what_is_no_account_in_kazakhstan_is_refused_at_every_door",
        "parties/test_routes.py::test_a_merchant_with_a_wrong_field_is_refused_by_name",
    ),
    "a BIN of 11 digits": (
        "parties/test_numbers.py::test_what_is_no_tax_number_is_refused_by_reason",
        "reserve/test_redemptions.py::test_what_is_wrong_is_refused_by_name",
    ),
    "a KNP missing, a value date on a holiday": (
        "bank/test_simulator.py::test_an_order_that_the_bank_could_not_carry_is_refused_by_name",
    ),
    "an amount with a third decimal, a credit in another currency": (
        "bank/test_iso20022.py::test_a_malformed_payment_is_refused_by_name",
        "bank/test_others.py::test_what_another_bank_may_not_write_is_refused_by_name",
    ),
    "a statement twice, out of order, for another account or currency, one that does not add up": (
        "bank/test_closing.py::test_the_same_statement_again_changes_nothing",
        "bank/test_closing.py::test_a_statement_that_cannot_be_taken_is_held_by_name_and_once",
    ),
    "a notice that contradicts the statement": (
        "bank/test_closing.py::test_a_notice_that_contradicts_a_statement_that_was_taken_is_held",
        "bank/test_faults.py::test_a_notice_that_contradicts_the_statement_is_held",
    ),
    "a statement that lacks a line": (
        "reserve/test_statement_lines.py::test_a_line_that_a_statement_lacks_is_a_breach_until_it"
        "_comes",
    ),
    "a payout returned after the batch was reported": (
        "settlement/test_report.py::test_a_returned_payout_is_the_next_reports_opening",
        "settlement/test_payouts.py::test_a_returned_payout_is_owed_again_and_paid_when_asked_for",
    ),
}


def test_every_trap_of_the_reserve_is_held_by_a_test() -> None:
    assert set(TRAPS) == {*range(1, 14), 18, 20}


@pytest.mark.parametrize("what", [*TRAPS, *BAD_INPUT])
def test_the_tests_that_hold_it_exist(what: int | str) -> None:
    for named in TRAPS[what][1] if isinstance(what, int) else BAD_INPUT[what]:
        path, _, name = named.partition("::")
        there = {
            node.name
            for node in ast.walk(ast.parse((TESTS / path).read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in there, named
