"""The record of a proof is what an auditor reads years later: whichever question went wrong, it must not say that all
was well."""

import pytest

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.operations import proofs
from desbuquei_backups_tests.operations.vault import manifest_of

MANIFEST = manifest_of("daily-2026-02-01-020000")
EQUAL = [Finding("public.pedidos", "1", "1", Verdict.MATCHES)]
QUESTIONS = ("row_counts", "contents", "schema", "soundness", "tables", "objects")


def recorded(**found: list[Finding]) -> proofs.RecordedProof:
    asked = dict.fromkeys(QUESTIONS, EQUAL) | found
    return proofs.of_findings(MANIFEST, MANIFEST.taken_at, MANIFEST.backup_id, "17", seconds={"restore": 1.0}, **asked)


def test_of_a_copy_that_is_the_source_the_record_says_so() -> None:
    assert (recorded().verdict, recorded().failed) == (Verdict.MATCHES, False)


@pytest.mark.parametrize("question", QUESTIONS)
def test_whatever_is_not_the_source_makes_the_proof_one_that_does_not_match(question: str) -> None:
    proof = recorded(**{question: [Finding("sequence public.numeros", "7", "8", Verdict.DIFFERS)]})
    assert (proof.verdict, proof.failed, proof.recorded()["status"]) == (Verdict.DIFFERS, True, "failed")


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_could_not_be_compared_makes_no_proof_that_matches(question: str) -> None:
    proof = recorded(**{question: [Finding("version of extension hstore", "1", None, Verdict.UNCOMPARED)]})
    assert (proof.verdict, proof.failed) == (Verdict.UNCOMPARED, False)
