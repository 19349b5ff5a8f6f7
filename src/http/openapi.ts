/**
 * The API described for programs: OpenAPI 3.1, composed from the definitions and never written by hand.
 *
 * Only the management plane is in it; what machines ask is plain text for shells and described in the README.
 * Source: OpenAPI Specification 3.1.0; valibot schemas become JSON Schema 2020-12, its dialect.
 */
import { type ConversionConfig, toJsonSchema } from '@valibot/to-json-schema'
import type * as v from 'valibot'
import type { Command } from '../commands/definition.ts'
import { commands } from '../commands/index.ts'
import { apiPrefix, commandPath } from '../commands/wire.ts'
import { type RefusalKind, refusalKinds } from '../domain/errors.ts'
import { bootsQuery, type Reading, readings } from './api.ts'
import { problemType } from './problems.ts'

type Json = Record<string, unknown>

/** Regular expressions and checks beyond JSON Schema are described by the summary, not by the schema. */
const conversion: ConversionConfig = { target: 'draft-2020-12', typeMode: 'input', errorMode: 'ignore' }

/** The document for a daemon of this version. */
export function describeApi(version: string): Json {
  const paths: Record<string, Json> = {}
  for (const command of commands) {
    const path = commandPath(command)
    paths[path] = { ...paths[path], post: describeCommand(command) }
  }
  for (const reading of readings) {
    const path = `${apiPrefix}/${reading.path}`
    paths[path] = { ...paths[path], get: describeReading(reading) }
  }
  paths[`${apiPrefix}/boots`] = {
    get: {
      operationId: 'read-boots',
      summary: 'Boots as the server saw them, newest first',
      parameters: parametersOf(bootsQuery),
      responses: responsesOf({ 'application/json': { schema: bootsSchema } }),
    },
  }
  paths[`${apiPrefix}/events`] = { get: describeEvents() }
  paths[`${apiPrefix}/openapi.json`] = {
    get: {
      operationId: 'read-openapi',
      summary: 'This document',
      responses: responsesOf({ 'application/json': { schema: { type: 'object' } } }),
    },
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'pxemngr',
      version,
      description: 'Management API. Over TCP a change needs a token; on the Unix socket nothing does.',
    },
    servers: [{ url: '/' }],
    security: [{}, { token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: { Problem: problemSchema() },
    },
  }
}

function describeCommand(command: Command): Json {
  const type = command.stream?.contentType
  const always = command.stream !== undefined && command.stream.when === undefined
  return {
    operationId: command.name.replaceAll(' ', '-'),
    summary: command.summary,
    description: `Least role: ${command.role}. ${command.changes ? 'Changes state.' : 'Changes nothing.'}`,
    ...(command.role === 'viewer' ? {} : { security: [{ token: [] }] }),
    requestBody: { required: true, content: { 'application/json': { schema: schemaOf(command.args) } } },
    responses: responsesOf({
      ...(always ? {} : { 'application/json': { schema: schemaOf(command.result) } }),
      ...(type === undefined ? {} : { [type]: {} }),
    }),
  }
}

function describeReading({ path, query, command }: Reading): Json {
  return {
    operationId: `read-${path}`,
    summary: command.summary,
    parameters: parametersOf(query),
    responses: responsesOf({ 'application/json': { schema: schemaOf(command.result) } }),
  }
}

function describeEvents(): Json {
  const sequence = { type: 'string', pattern: '^\\d{1,15}$' }
  return {
    operationId: 'read-events',
    summary: 'Every record as it is applied, as server-sent events; resumes behind a sequence number',
    parameters: [
      { name: 'Last-Event-ID', in: 'header', required: false, schema: sequence },
      { name: 'after', in: 'query', required: false, schema: sequence },
      { name: 'boots', in: 'query', required: false, schema: { type: 'string' } },
    ],
    responses: responsesOf({ 'text/event-stream': { schema: { type: 'string' } } }),
  }
}

function parametersOf(query: v.GenericSchema): Json[] {
  const { properties = {}, required = [] } = schemaOf(query) as { properties?: Json; required?: string[] }
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }))
}

function schemaOf(schema: v.GenericSchema): Json {
  const { $schema: _, ...rest } = toJsonSchema(schema, conversion)
  return rest
}

const bootsSchema = {
  type: 'object',
  required: ['boots'],
  properties: { boots: { type: 'array', items: { type: 'object' } } },
}

function responsesOf(content: Json): Json {
  return {
    '200': { description: 'Done', content },
    default: {
      description: 'Not done',
      content: { [problemType]: { schema: { $ref: '#/components/schemas/Problem' } } },
    },
  }
}

function problemSchema(): Json {
  const kinds = (Object.keys(refusalKinds) as RefusalKind[]).filter((kind) => refusalKinds[kind].http !== null)
  return {
    type: 'object',
    description: 'RFC 9457. `detail` is the line that the command line prints, `hint` what a terminal shows beneath.',
    required: ['type', 'title', 'status', 'detail', 'code'],
    properties: {
      type: { type: 'string' },
      title: { type: 'string' },
      status: { type: 'integer' },
      detail: { type: 'string' },
      hint: { type: 'string' },
      code: { enum: [...kinds, 'unsupported-media-type', 'method-not-allowed', 'internal'] },
    },
  }
}
