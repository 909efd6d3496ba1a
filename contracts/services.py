"""What other apps, views and the API may call. One verb each."""

from contracts.accepting import accept_contract, certify_progress, put_acceptance
from contracts.deciding import decide_contracts
from contracts.drafting import put_contract, revise_contract, save_contract
from contracts.opening import import_contract
from contracts.projects import decide_project, save_project
from contracts.rules import AccountInput, ContractInput, ProjectInput, SupplementInput, TermInput
from contracts.supplementing import decide_supplement, save_supplement

__all__ = [
    "AccountInput",
    "ContractInput",
    "ProjectInput",
    "SupplementInput",
    "TermInput",
    "accept_contract",
    "certify_progress",
    "decide_contracts",
    "decide_project",
    "decide_supplement",
    "import_contract",
    "put_acceptance",
    "put_contract",
    "revise_contract",
    "save_contract",
    "save_project",
    "save_supplement",
]
