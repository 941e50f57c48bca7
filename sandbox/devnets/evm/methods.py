"""Which methods come through: read, send, and, with `--faults`, those that change the chain.

An allow-list: what a newer anvil adds stays out until somebody has looked at it.
"""

from __future__ import annotations

from typing import Final

_ETH = """
accounts blobBaseFee blockNumber call chainId coinbase config createAccessList estimateGas
feeHistory fillTransaction gasPrice getAccount getAccountInfo getBalance getBlockByHash
getBlockByNumber getBlockReceipts getBlockTransactionCountByHash
getBlockTransactionCountByNumber getCode getFilterChanges getFilterLogs getLogs getProof
getRawTransactionByBlockHashAndIndex getRawTransactionByBlockNumberAndIndex
getRawTransactionByHash getStorageAt getTransactionByBlockHashAndIndex
getTransactionByBlockNumberAndIndex getTransactionByHash getTransactionBySenderAndNonce
getTransactionCount getTransactionReceipt getUncleByBlockHashAndIndex
getUncleByBlockNumberAndIndex getUncleCountByBlockHash getUncleCountByBlockNumber
hashrate maxPriorityFeePerGas networkId newBlockFilter newFilter
newPendingTransactionFilter protocolVersion requestAccounts simulateV1 syncing uninstallFilter
"""
_OTHER = """
web3_clientVersion web3_sha3 net_version net_listening
txpool_status txpool_inspect txpool_content
debug_getRawTransaction debug_traceTransaction debug_traceCall debug_traceBlockByHash
debug_traceBlockByNumber debug_codeByHash
trace_transaction trace_block trace_filter trace_replayBlockTransactions
erigon_getHeaderByNumber
ots_getApiLevel ots_getInternalOperations ots_hasCode ots_traceTransaction
ots_getTransactionError ots_getBlockDetails ots_getBlockDetailsByHash ots_getBlockTransactions
ots_searchTransactionsBefore ots_searchTransactionsAfter ots_getTransactionBySenderAndNonce
ots_getContractCreator
"""
READ: Final = frozenset({f"eth_{name}" for name in _ETH.split()} | set(_OTHER.split()))

# Only for accounts whose keys anvil has (`--dev-accounts`).
SIGN: Final = frozenset(
    {
        "eth_sign",
        "personal_sign",
        "eth_signTransaction",
        "eth_signTypedData",
        "eth_signTypedData_v3",
        "eth_signTypedData_v4",
    }
)

CONTROL_READ: Final = frozenset(
    {
        "anvil_nodeInfo",
        "anvil_metadata",
        "hardhat_metadata",
        "anvil_getAutomine",
        "hardhat_getAutomine",
        "anvil_getIntervalMining",
        "anvil_getGenesisTime",
    }
)

# Journalled and replayed by name and parameters.
CONTROL_CHANGE: Final = frozenset(
    {
        "anvil_setBalance",
        "hardhat_setBalance",
        "tenderly_setBalance",
        "anvil_addBalance",
        "hardhat_addBalance",
        "tenderly_addBalance",
        "anvil_setCode",
        "hardhat_setCode",
        "anvil_setNonce",
        "hardhat_setNonce",
        "evm_setAccountNonce",
        "anvil_setStorageAt",
        "hardhat_setStorageAt",
        "anvil_dealERC20",
        "hardhat_dealERC20",
        "anvil_setERC20Balance",
        "anvil_setERC20Allowance",
        "anvil_impersonateAccount",
        "hardhat_impersonateAccount",
        "anvil_stopImpersonatingAccount",
        "hardhat_stopImpersonatingAccount",
        "anvil_autoImpersonateAccount",
        "hardhat_autoImpersonateAccount",
        "anvil_setChainId",
        "anvil_setCoinbase",
        "hardhat_setCoinbase",
        "anvil_setMinGasPrice",
        "hardhat_setMinGasPrice",
        "anvil_setNextBlockBaseFeePerGas",
        "hardhat_setNextBlockBaseFeePerGas",
        "anvil_setBlockGasLimit",
        "evm_setBlockGasLimit",
    }
)

# Things that the front does itself, and that would contradict it or its journal.
_TIME = "time comes from the sandbox clock: use sandbox_setClock"
_MINING = "the front decides when blocks are made: use sandbox_mine, sandbox_pause, sandbox_resume"
_HISTORY = "the journal is this chain's only history: use sandbox_reorg"
INSTEAD: Final = {
    **dict.fromkeys(
        (
            "evm_increaseTime",
            "anvil_increaseTime",
            "evm_setTime",
            "anvil_setTime",
            "evm_setNextBlockTimestamp",
            "anvil_setNextBlockTimestamp",
            "anvil_setBlockTimestampInterval",
            "anvil_removeBlockTimestampInterval",
        ),
        _TIME,
    ),
    **dict.fromkeys(
        (
            "evm_setAutomine",
            "anvil_setAutomine",
            "evm_setIntervalMining",
            "anvil_setIntervalMining",
            "evm_mine_detailed",
            "anvil_mine_detailed",
        ),
        _MINING,
    ),
    **dict.fromkeys(
        (
            "anvil_reset",
            "hardhat_reset",
            "anvil_reorg",
            "anvil_rollback",
            "evm_snapshot",
            "anvil_snapshot",
            "evm_revert",
            "anvil_revert",
            "anvil_loadState",
            "hardhat_loadState",
            "anvil_dumpState",
            "hardhat_dumpState",
        ),
        _HISTORY,
    ),
    **dict.fromkeys(
        (
            "anvil_dropTransaction",
            "hardhat_dropTransaction",
            "anvil_dropAllTransactions",
            "hardhat_dropAllTransactions",
            "anvil_removePoolTransactions",
        ),
        "the journal knows the pool: use sandbox_drop",
    ),
}
CONTROL_PREFIXES: Final = ("anvil_", "evm_", "hardhat_", "tenderly_", "sandbox_")
