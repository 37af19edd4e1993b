"""Where the rules come from: the keys of ``Rule.source``. 未核 beside a key = from knowledge, not read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "条例": "道路交通安全法实施条例 (2017-10-07), articles 44-67; text in github.com/LawRefBook/Laws",
        "道交法": "道路交通安全法 §47 (人行横道), §51 (安全带); text not read (未核)",
        "MON": "an exam centre's monitoring page: the 科目三 items and some 200 numbered 评判 messages",
        "JUD": "exam judging software with five-digit 评判 codes (301xx 不合格, 302xx 扣10分, 402xx 起步)",
        "DB": "a judging table with points per 起步 and 直线 fault, older edition",
        "APP": "a driving school's training app: each 科目三 item step by step, with deductions",
        "W2": "科目二 评判 summary, m.wsmp3.cn/ask/406503.html",
        "W3": "科目三 评判 summary, wsmp3.cn/ask/283502.html",
        "TX": "附件6 科目二、科目三考试评判标准 综合评判, wenku.docs.qq.com/detail?docId=8cnPFu8sWf",
        "C2P": "科目二 rules with times and 后溜 limits, chetan.com/202209/756688.shtml",
        "WS2": "科目二: 中途停车, 转向灯, 起步 30 s, wsmp3.cn/wd/1702524.html",
        "XH": "科目二 rule page, ydliyang.com/kaoshi/jiazhao/kemuer/560080.html",
        "3D": "older 科目二 list, 3dmxku.com/daquan/zonghe/4180544.html",
        "N2": "older 科目二 list, jsyzj.com/km2/m55",
        "GR1": "gear and speed bands, chinadulou.com/ask/qnjosxavxqb",
        "GR2": "gear and speed bands, fudaoke.com/exam/2623421.html",
        "GR3": "gear and speed bands, fudaoke.com/exam/2609574.html",
        "GR4": "gear and speed bands, news.caiding5.net/qiche/1631148.html",
        "P1": "order of 起步, 换挡, 停车 for 手动挡, 360doc.com/content/16/0619/06/32789078_568923085.shtml",
        "P2": "起步 and 停车 steps for 自动挡, yueyeche.com.cn/jxuwd/202511/788222.html",
        "P3": "科目二 uses 1挡 and 倒挡, clutch before brake, 3g.china.com/auto/mip/182004.html",
        "P4": "科目三 停车: 空挡 and 手刹, wsmp3.cn/wd/3684589.html",
        "P5": "科目二 停车 and 侧方 for 自动挡, m.pcauto.com.cn/baike/848992/1664039",
        "P6": "科目二 起步: gear first, then 手刹, 58z.net/z/1710986450996766740.html",
        "L1": "会车 at 150 m, yuyouke.com/jxwd/3719/37195198.html",
    }
)
"""Key -> what it is and where. The text of 公安部令第162号 and of GA 1026 was not available."""
