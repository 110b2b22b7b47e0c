from .tasks import in_container, in_made_container, by_status, by_values, unfinished
