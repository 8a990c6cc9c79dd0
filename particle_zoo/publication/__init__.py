"""From a finished run to a published model: golden values, scores, speed, card and page."""
