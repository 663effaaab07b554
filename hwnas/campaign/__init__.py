"""Fault campaigns: which faults are drawn, what is kept of them, and how sure the figures are that come out."""

from hwnas.campaign.campaign import Campaign, CurveCampaign, SingleCampaign, Stage, as_text
from hwnas.campaign.images import Examples
from hwnas.campaign.results import FaultReport, NetworkResult, as_json, curve_result, report, single_result
from hwnas.campaign.settings import FaultSettings
from hwnas.campaign.study import Subject, onnx_subject, study, trained

__all__ = [
    "Campaign",
    "CurveCampaign",
    "Examples",
    "FaultReport",
    "FaultSettings",
    "NetworkResult",
    "SingleCampaign",
    "Stage",
    "Subject",
    "as_json",
    "as_text",
    "curve_result",
    "onnx_subject",
    "report",
    "single_result",
    "study",
    "trained",
]
