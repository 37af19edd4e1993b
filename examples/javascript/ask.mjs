// Ask the coach from JavaScript with the official client: node ask.mjs [http://127.0.0.1:11434]
import { Ollama } from 'ollama'

const ollama = new Ollama({ host: process.argv[2] ?? 'http://127.0.0.1:11434' })
const line =
  '<特征>场地类型:科目三; 当前项目:起步; 车辆类型:手动挡; 挡位:1挡; 手刹:放下; 发动机:打火; 安全带:未系; ' +
  '车门:关闭; 离合:踩下; 刹车:踩下; 油门:未踩; 速度:静止; 时间特征:白天</特征>'

// Whole. What comes back is text: parse it, and check what you rely on.
const whole = await ollama.generate({ model: 'goDrive', prompt: line })
const { 动作: actions, 级别: level, 话术: speech } = JSON.parse(whole.response)
console.log(`${level}: ${speech} (${actions.join('、')})`)

// Streamed.
const messages = [{ role: 'user', content: line }]
for await (const part of await ollama.chat({ model: 'goDrive', messages, stream: true })) {
  process.stdout.write(part.message.content)
}
console.log()
