"""How results show themselves in a notebook: short pieces of HTML, and line charts."""

from funcgrad.display.charts import Line, chart
from funcgrad.display.notebook import Text, figure, framed, grid

__all__ = ["Line", "Text", "chart", "figure", "framed", "grid"]
