export { poster as sada } from './poster.ts'
