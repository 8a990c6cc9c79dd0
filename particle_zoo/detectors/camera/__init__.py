"""Dense frames of scientific cameras: reading, pedestals, regions of interest, and the pixel lists of a reconstruction."""

from particle_zoo.detectors.camera.common_mode import remove_common_mode
from particle_zoo.detectors.camera.emulation import emulate, macro_pixels
from particle_zoo.detectors.camera.finder import Finder
from particle_zoo.detectors.camera.finders import FINDERS, finder_from_dict
from particle_zoo.detectors.camera.frames import CameraFrames
from particle_zoo.detectors.camera.matched_filter import MatchedFilter
from particle_zoo.detectors.camera.opening import FORMATS, open_frames
from particle_zoo.detectors.camera.pedestal import PedestalModel
from particle_zoo.detectors.camera.pedestal_quality import check_pedestals, signal_like
from particle_zoo.detectors.camera.redpix import RedPixels
from particle_zoo.detectors.camera.redpix_files import read_redpix
from particle_zoo.detectors.camera.region_calibration import Calibration, calibrate, describe
from particle_zoo.detectors.camera.region_finder import RegionFinder
from particle_zoo.detectors.camera.regions import Regions
from particle_zoo.detectors.camera.trigger import OnlineTrigger

__all__ = [
    "FINDERS",
    "FORMATS",
    "Calibration",
    "CameraFrames",
    "Finder",
    "MatchedFilter",
    "OnlineTrigger",
    "PedestalModel",
    "RedPixels",
    "RegionFinder",
    "Regions",
    "calibrate",
    "check_pedestals",
    "describe",
    "emulate",
    "finder_from_dict",
    "macro_pixels",
    "open_frames",
    "read_redpix",
    "remove_common_mode",
    "signal_like",
]
