/** What guests say to the egress in protocols of others: DNS, TLS, HTTP. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import { query } from '../../../test/support/fake-gate.js';
import { readQuestion, writeAnswer } from './dns.js';
import { httpName, tlsHello } from './first-words.js';
import { NameTable } from './names.js';

describe('DNS', () => {
  it('reads the one question, in one form, and answers it', () => {
    const question = readQuestion(query('Example.ORG'));
    assert(question !== undefined);
    assert.equal(question.name, 'example.org');
    assert(question.asksForAddress);
    const answer = writeAnswer(question, { address: [28, 1, 2, 3] });
    assert.deepEqual([...answer.subarray(0, 8)], [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1]);
    assert.deepEqual([...answer.subarray(-4)], [28, 1, 2, 3]);
    assert.equal(writeAnswer(question, 'no such name').readUInt16BE(2) & 15, 3);
    assert.equal(writeAnswer(question, 'failed').readUInt16BE(2) & 15, 2);
    assert.equal(readQuestion(query('example.org', 28))?.asksForAddress, false);
  });

  it('has no name for what no host is called, and no answer for what is no query', () => {
    for (const name of [
      '',
      'a b',
      '127.0.0.1',
      '2130706433',
      'a\0b',
      '*.example',
      'a..b'.replace('..', '.-.'),
    ]) {
      assert.equal(readQuestion(query(name))?.name, undefined, name);
    }
    // A dot inside a label: the same text as two labels, and another name.
    const dotted = Buffer.from(query('example.org'));
    dotted.set([11, ...Buffer.from('example.org')], 12);
    assert.equal(readQuestion(dotted)?.name, undefined);
    const whole = query('example.org');
    for (let size = 0; size < whole.length; size++)
      assert.equal(readQuestion(whole.subarray(0, size)), undefined);
    const response = Buffer.from(whole);
    response[2] = 0x80;
    assert.equal(readQuestion(response), undefined);
    const loop = Buffer.concat([whole.subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])]);
    assert.equal(readQuestion(loop), undefined);
    const long = Buffer.concat([whole.subarray(0, 12), Buffer.alloc(300, 1), Buffer.from([0, 0, 1, 0, 1])]);
    assert.equal(readQuestion(long), undefined);
  });
});

describe('the names a sandbox asked for', () => {
  it('have an address each, the same whenever the table is made again', () => {
    const table = new NameTable();
    const addresses = Array.from({ length: 4096 }, (_, index) => table.addressOf(`n${index}.example`));
    assert.equal(new Set(addresses.map(String)).size, 4096);
    assert(addresses.every((bytes) => bytes?.[0] === 28 && (bytes[1] ?? 16) < 16));
    assert.equal(table.addressOf('one-more.example'), undefined);
    const again = new NameTable(table.entries());
    assert.deepEqual(again.addressOf('n7.example'), addresses[7]);
  });
});

describe('first words', () => {
  it('of TLS are the server name, whole or in pieces', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = tlsConnect({
      port,
      host: '127.0.0.1',
      servername: 'example.org',
      ALPNProtocols: ['h2', 'x'],
    });
    client.on('error', () => undefined);
    const [peer] = (await once(server, 'connection')) as [Socket];
    const [hello] = (await once(peer, 'data')) as [Buffer];
    assert.deepEqual(tlsHello(hello), { name: 'example.org', protocols: ['h2', 'x'] });
    for (let size = 0; size < hello.length; size++) assert.equal(tlsHello(hello.subarray(0, size)), 'more');
    for (let at = 5; at < hello.length; at++) {
      const damaged = Buffer.from(hello);
      damaged[at] = 0xff;
      assert.notEqual(tlsHello(damaged), 'more');
    }
    client.destroy();
    peer.destroy();
    server.close();
  });

  it('of HTTP are the Host of the first request, if it has one', () => {
    const name = (text: string): unknown => httpName(Buffer.from(text));
    assert.deepEqual(name('GET / HTTP/1.1\r\nHOST: Example.org:80\r\n\r\nx'), { name: 'example.org' });
    assert.equal(name('GET / HTTP/1.1\r\nHost: exam'), 'more');
    for (const text of [
      'GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n',
      'GET / HTTP/1.0\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
      'SSH-2.0-x\r\n',
      '\x16\x03\x01',
    ]) {
      assert.equal(name(text), 'none', text);
    }
    assert.equal(name(''), 'more');
    assert.equal(name(`GET /${'a'.repeat(20_000)}`), 'none');
  });
});
