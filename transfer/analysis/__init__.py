"""From finished trials to answers: optima, transfer, predictions and the verdict."""

from typing import TYPE_CHECKING

from transfer.analysis.advice import Advice
from transfer.analysis.advice_text import AdviceText
from transfer.analysis.at_target import TargetRow, TargetValues
from transfer.analysis.axis import JOINTLY, AxisRegret, AxisVerdict, judge_axes
from transfer.analysis.basis import Basis
from transfer.analysis.calibrate import Calibrated, calibrate, calibrate_run
from transfer.analysis.collapse import Collapse, collapse
from transfer.analysis.crossover import Crossover, crossover
from transfer.analysis.estimate import Estimate
from transfer.analysis.expected_bowl import USUAL, ExpectedBowl, measured_bowl
from transfer.analysis.forecast import Forecast, TargetSize, forecast
from transfer.analysis.forecast_judgment import JudgedForecast, judge_forecast, registered_forecast
from transfer.analysis.horizon_agreement import HorizonAgreement, horizon_agreement
from transfer.analysis.invariance import GAIN_BAND, Invariance, judge_invariance
from transfer.analysis.ladder import Ladder, LadderVerdict, fit_ladder
from transfer.analysis.ladder_rules import RuleScore
from transfer.analysis.measured_decay import MeasuredDecay, measure_decay
from transfer.analysis.optimum import (
    Optimum,
    WidthSweep,
    find_optimum,
    fit_widths,
    sweeps_by_recipe,
)
from transfer.analysis.prediction import Prediction
from transfer.analysis.proxies import predict
from transfer.analysis.recipe_verdict import RecipeVerdict, SublayerVerdict
from transfer.analysis.regret import Regret, find_regret
from transfer.analysis.regret_forecast import forecast_regret
from transfer.analysis.rungs import RungSize, is_ladder, reference_size, reference_trials
from transfer.analysis.scaling_law import ScalingLaw, SizeLoss
from transfer.analysis.slope import extrapolate_optimum, optimum_slope, slope_over_seeds
from transfer.analysis.spectrum import SpectrumSlope, predicted_slope, spectrum_slopes
from transfer.analysis.transfer_numbers import TransferNumbers, transfer_numbers
from transfer.analysis.transferability import (
    REGRET_BAND,
    SLOPE_BAND,
    Transferability,
    judge_transfer,
)
from transfer.analysis.verdict import SweepVerdict, judge
from transfer.analysis.width_losses import WidthLoss, width_losses
from transfer.renamed import renamed

__all__ = [
    "GAIN_BAND",
    "JOINTLY",
    "REGRET_BAND",
    "SLOPE_BAND",
    "USUAL",
    "Advice",
    "AdviceText",
    "AxisRegret",
    "AxisVerdict",
    "Basis",
    "Calibrated",
    "Collapse",
    "Crossover",
    "Estimate",
    "ExpectedBowl",
    "Forecast",
    "HorizonAgreement",
    "Invariance",
    "JudgedForecast",
    "Ladder",
    "LadderVerdict",
    "MeasuredDecay",
    "Optimum",
    "Prediction",
    "RecipeVerdict",
    "Regret",
    "RuleScore",
    "RungSize",
    "ScalingLaw",
    "SizeLoss",
    "SpectrumSlope",
    "SublayerVerdict",
    "SweepVerdict",
    "TargetRow",
    "TargetSize",
    "TargetValues",
    "TransferNumbers",
    "Transferability",
    "WidthLoss",
    "WidthSweep",
    "calibrate",
    "calibrate_run",
    "collapse",
    "crossover",
    "extrapolate_optimum",
    "find_optimum",
    "find_regret",
    "fit_ladder",
    "fit_widths",
    "forecast",
    "forecast_regret",
    "horizon_agreement",
    "is_ladder",
    "judge",
    "judge_axes",
    "judge_forecast",
    "judge_invariance",
    "judge_transfer",
    "measure_decay",
    "measured_bowl",
    "optimum_slope",
    "predict",
    "predicted_slope",
    "reference_size",
    "reference_trials",
    "registered_forecast",
    "slope_over_seeds",
    "spectrum_slopes",
    "sweeps_by_recipe",
    "transfer_numbers",
    "width_losses",
]

if not TYPE_CHECKING:
    __getattr__ = renamed(
        "transfer.analysis",
        {
            "ZeroShot": "transfer.analysis.Regret",
            "zero_shot_regret": "transfer.analysis.find_regret",
        },
    )
