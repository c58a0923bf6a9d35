// The same door as webhook-ingest's, as one would write it in Node.js: Fastify and kafkajs, acks=all,
// answered after the broker's acknowledgement. No compression, no limits but the body's.
//   node server.js PORT BROKERS TOPIC TOKENS_FILE
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const fastify = require('fastify');
const { Kafka, Partitioners, logLevel } = require('kafkajs');

const [port, brokers, topic, tokensFile] = process.argv.slice(2);
const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex');

// Digest of the token -> integration.
const integrations = new Map();
fs.readFileSync(tokensFile, 'utf8').split('\n').filter(Boolean).forEach((token, i) => {
  integrations.set(sha256(token), { id: `int_${i}`, account: `company${i}` });
});

async function main() {
  const kafka = new Kafka({ clientId: 'peer', brokers: brokers.split(','), logLevel: logLevel.ERROR });
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();

  const app = fastify({ logger: false, bodyLimit: 1 << 20 });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => done(null, body));
  app.post('/hook/:token', async (request, reply) => {
    const integration = integrations.get(sha256(request.params.token));
    if (!integration) {
      return reply.code(404).send();
    }
    const id = crypto.randomUUID();
    const now = new Date().toISOString();
    const query = request.url.split('?')[1] || '';
    const head = JSON.stringify({
      id, integration: integration.id, method: request.method, query, receivedAt: now,
      contentType: request.headers['content-type'], userAgent: request.headers['user-agent'],
    });
    await producer.send({
      topic,
      acks: -1,
      messages: [{
        key: integration.account,
        value: Buffer.concat([Buffer.from(head), request.body || Buffer.alloc(0)]),
        headers: {
          ce_specversion: '1.0', ce_id: id, ce_source: `/crm/moysklad/integrations/${integration.id}`,
          ce_type: 'dealstream.notice.received.v1', ce_subject: integration.account, ce_time: now,
          ce_dataschema: 'dealstream.raw.v1.Notice', 'content-type': 'application/protobuf',
          traceparent: `00-${crypto.randomBytes(16).toString('hex')}-${crypto.randomBytes(8).toString('hex')}-01`,
        },
      }],
    });
    return reply.code(204).header('x-notice-id', id).send();
  });
  await app.listen({ port: Number(port), host: '127.0.0.1' });
  process.stdout.write('ready\n');
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
