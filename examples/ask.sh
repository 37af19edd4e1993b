#!/usr/bin/env bash
# Ask `drivecoach serve` with curl, answers checked: ask.sh [http://127.0.0.1:11434]
set -euo pipefail
host="${1:-http://127.0.0.1:11434}"

curl --silent --fail-with-body "$host/coach" --header 'content-type: text/plain' --data @- <<'LINE'
<特征>场地类型:科目三; 当前项目:起步; 车辆类型:手动挡; 挡位:1挡; 手刹:放下; 发动机:打火; 安全带:未系; 车门:关闭; 离合:踩下; 刹车:踩下; 油门:未踩; 速度:静止; 时间特征:白天</特征>
LINE
echo
