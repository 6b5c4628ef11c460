"""The supported public data sets, by name."""

from model.formats import (
    diginetica,
    jdata,
    online_retail,
    otto,
    personalize,
    rees46,
    retailrocket,
    taobao,
    yoochoose,
)
from model.formats.table import Format

FORMATS: dict[str, Format] = {
    "jdata": jdata.FORMAT,
    "otto": otto.FORMAT,
    "online-retail": online_retail.FORMAT,
    "rees46": rees46.FORMAT,
    "kaggle": rees46.FORMAT,  # the same files, named after the site that hosts them
    "yoochoose": yoochoose.FORMAT,
    "diginetica": diginetica.FORMAT,
    "retailrocket": retailrocket.FORMAT,
    "taobao": taobao.FORMAT,
    "personalize": personalize.FORMAT,
}
