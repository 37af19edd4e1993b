// What the settings are called, and what they mean in Chinese; in English that is what `config/sections.py` says.

const ZH = {
  "name": ["名称", "运行和配方的名字，文件夹 runs/ 下以它命名。"],
  "domain": ["领域", "输入和答案的定义：自带领域的名字，或工作目录里的 Python 文件。"],
  "data.path": ["数据文件", "训练用的数据对。"],
  "data.source": ["数据来源", "local 是文件，hub 是 Hugging Face，modelscope 是魔搭。"],
  "data.validation": ["验证集比例", "按输入的哈希留出，训练中用来看是否变好。"],
  "data.test": ["测试集比例", "按输入的哈希留出，只在最后评分时使用。"],
  "data.fraction": ["使用比例", "只用这一部分数据，适合快速试跑。"],
  "data.refused": ["被拒绝的行", "stop：有坏行就停止；drop：计数并略过。"],
  "data.format": ["行的格式", "auto 按键名判断；table 表示每个字段一列。"],
  "data.columns": ["列名对应", "我们的列名对文件里的列名。"],
  "chat.thinking": ["思考过程", "strip 只学答案，keep 连同思考一起学，mixed 两种都学。"],
  "chat.thinking_share": ["思考比例", "mixed 时带思考学习的比例。"],
  "chat.system": ["系统消息", "不填则用领域自带的。"],
  "chat.template": ["对话模板", "chatml、gemma、llama3，或自己的 .jinja 文件。"],
  "base.source": ["基座来源", "nano 从零训练小模型；hub、modelscope、local 是预训练模型。"],
  "base.name": ["基座模型", "仓库名（如 Qwen/Qwen3-0.6B）或本地文件夹。"],
  "base.nano.hidden_size": ["隐藏维度", "nano 模型的宽度。"],
  "base.nano.layers": ["层数", "nano 模型的深度。"],
  "base.nano.heads": ["注意力头数", ""],
  "base.nano.kv_heads": ["KV 头数", "必须整除注意力头数。"],
  "base.nano.head_dim": ["每头维度", ""],
  "base.nano.intermediate_size": ["前馈维度", ""],
  "train.lora": ["训练 LoRA 适配器", "不勾选则训练全部权重。"],
  "train.lora.r": ["LoRA 秩 r", "越大可学的越多，也越占内存。"],
  "train.lora.alpha": ["LoRA alpha", "适配器的缩放，通常等于 r 或其两倍。"],
  "train.lora.dropout": ["LoRA dropout", "训练时随机丢弃的比例。"],
  "train.epochs": ["训练轮数", "每行数据看几遍。太少学不会，太多会死记。"],
  "train.max_steps": ["最多步数", "到这么多步就停，不管轮数。"],
  "train.batch_size": ["批大小", "每次一起算的行数，内存不够就调小。"],
  "train.gradient_accumulation": ["梯度累积", "攒几批再更新一次，与批大小相乘为有效批大小。"],
  "train.learning_rate": ["学习率", "每步走多远。发散就调小十倍，学得太慢就调大。"],
  "train.warmup_steps": ["预热步数", "学习率从零升到设定值的步数。"],
  "train.weight_decay": ["权重衰减", "抑制过大的权重，减少死记。"],
  "train.max_grad_norm": ["梯度裁剪", "梯度超过这个长度就缩短。"],
  "train.max_length": ["最大长度", "一行（提示加答案）最多多少词元；更长的行会被拒绝，不会被截断。"],
  "train.optimizer": ["优化器", "muon 适合训练全部权重，所需数据更少；LoRA 用 adamw_torch。"],
  "train.precision": ["精度", "auto：GPU 支持就用 bf16，否则 fp32。"],
  "train.quantize": ["4 位基座", "QLoRA：训练适配器时基座以 4 位保存。"],
  "train.backend": ["训练后端", "peft、unsloth 或 auto。"],
  "train.seed": ["随机种子", ""],
  "train.logging_steps": ["记录间隔", "每隔多少步记录一次损失。"],
  "train.checkpoint_steps": ["检查点间隔", "每隔多少步存一次，停止后从这里继续。"],
  "train.evaluate_every": ["验证间隔", "每隔多少步试一次验证集；不填则与检查点相同。"],
  "train.best_by": ["择优依据", "按它导出最好的检查点；不填则用最后一个。"],
  "train.patience": ["早停耐心", "验证多少次没有变好就停止。"],
  "train.gradient_checkpointing": ["梯度检查点", "用时间换内存。"],
  "train.auto_batch": ["自动批大小", "自动找内存放得下的最大批。"],
  "export.name": ["模型名称", "导出文件和 Ollama 里的名字；不填则与名称相同。"],
  "export.quantizations": ["导出格式", "要写哪些精度的 GGUF；最后一个用于服务。"],
  "export.temperature": ["温度", "生成时的随机性，0 表示每次相同。"],
  "export.num_ctx": ["上下文长度", "服务时提示加答案的最大词元数。"],
  "export.num_predict": ["答案长度", "答案的最大词元数。"],
};
export const texts = {
  zh: { "group-data": "数据", "group-chat": "对话", "group-base": "基座", "group-train": "训练", "group-export": "导出", "group-evaluate": "评分", "group-refine": "精修" },
  en: { "group-data": "Data", "group-chat": "Chat", "group-base": "Base", "group-train": "Training", "group-export": "Export", "group-evaluate": "Scores", "group-refine": "Refinement" },
};
const EN = { "train.lora": "Train an adapter (LoRA)", "data.path": "Data file", "data.validation": "Held out for validation", "data.test": "Held out for the test", "base.source": "Base from", "base.name": "Base model", "train.lora.r": "LoRA rank", "train.lora.alpha": "LoRA alpha", "export.name": "Name of the model", "export.quantizations": "GGUF files" };

/** What a person calls a setting. */
export function named(setting, language) {
  if (language === "zh" && ZH[setting.path]) return ZH[setting.path][0];
  const last = setting.path.split(".").pop().replaceAll("_", " ");
  return EN[setting.path] ?? last[0].toUpperCase() + last.slice(1);
}

/** What a setting means. */
export function said(setting, language) {
  return (language === "zh" && ZH[setting.path]?.[1]) || setting.text;
}

const WORDS = [
  [/should match pattern/, "letters, digits and . _ - after a first letter or digit, 64 at most", "只能用字母、数字和 . _ -，以字母或数字开头，最多 64 个字符"],
  [/^Input should be greater than or equal to (.+)$/, "at least $1", "不小于 $1"],
  [/^Input should be greater than (.+)$/, "greater than $1", "应大于 $1"],
  [/^Input should be less than or equal to (.+)$/, "at most $1", "不大于 $1"],
  [/^Input should be less than (.+)$/, "less than $1", "应小于 $1"],
  [/^Input should be a valid (?:integer|number).*$/, "a number", "应为数字"],
  [/^Input should be a valid string.*$/, "a text", "应为文字"],
  [/^a data file of the folder$/, "there is no such file in the folder: choose one", "工作目录里没有这个文件，请另选"],
  [/^a Python file of the folder$/, "there is no such Python file in the folder", "工作目录里没有这个 Python 文件"],
  [/^a value$/, "it is needed", "必须填写"],
];

/** What is allowed in a setting, as a person says it. */
export function inWords(allowed, language) {
  const [found, en, zh] = WORDS.find(([one]) => one.test(allowed)) ?? [];
  if (!found) return allowed;
  return found.source.startsWith("^") ? allowed.replace(found, language === "zh" ? zh : en) : language === "zh" ? zh : en;
}
