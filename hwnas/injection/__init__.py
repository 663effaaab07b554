"""Faults put into networks: fast engines that answer as a full pass would, and campaigns that know how sure they are."""

from hwnas.deployed import Change, Memory, Program
from hwnas.injection.answers import UNRECOVERABLE, Answers, Damage, damage
from hwnas.injection.bench import Bench, Engine, TorchBench
from hwnas.injection.campaign import Campaign, CurveCampaign, SingleCampaign, Stage, as_text
from hwnas.injection.engine import FastEngine, NaiveEngine, Upset
from hwnas.injection.from_onnx import from_onnx
from hwnas.injection.micro_batches import Examples
from hwnas.injection.qdq import QdqBench, QdqEngine
from hwnas.injection.results import FaultReport, NetworkResult, as_json, curve_result, report, single_result
from hwnas.injection.settings import FaultSettings
from hwnas.injection.study import Subject, onnx_subject, study, trained

__all__ = [
    "UNRECOVERABLE",
    "Answers",
    "Bench",
    "Campaign",
    "Change",
    "CurveCampaign",
    "Damage",
    "Engine",
    "Examples",
    "FastEngine",
    "FaultReport",
    "FaultSettings",
    "Memory",
    "NaiveEngine",
    "NetworkResult",
    "Program",
    "QdqBench",
    "QdqEngine",
    "SingleCampaign",
    "Stage",
    "Subject",
    "TorchBench",
    "Upset",
    "as_json",
    "as_text",
    "curve_result",
    "damage",
    "from_onnx",
    "onnx_subject",
    "report",
    "single_result",
    "study",
    "trained",
]
