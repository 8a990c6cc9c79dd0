"""Whether trainings in mixed precision end where those in float32 do."""
